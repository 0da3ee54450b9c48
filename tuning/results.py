"""What a sweep found: its table, its best trial, and the command that runs the best again."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import yaml
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from data_sharding.schema import write_atomic
from tuning.search import Sweep, settled


def best(study: Study) -> FrozenTrial | None:
    """The complete trial of the highest objective, the earliest of equals; None if none is."""
    complete = study.get_trials(states=(TrialState.COMPLETE,))
    return max(complete, key=lambda t: (t.values[0], -t.number), default=None)


def command(sweep: Sweep, trial: FrozenTrial) -> str:
    """The command line that trains this trial's settings, the user's fixed ones included."""
    words = [*sweep.changes, *trial.user_attrs["overrides"]]
    return shlex.join(["python", "-m", "training", sweep.recipe, *words])


def table(study: Study) -> str:
    """Aligned lines, a trial each, best first, what failed last and why."""
    trials = settled(study)
    names = list(dict.fromkeys(name for t in trials for name in t.params))
    rows = [["trial", "tune AUROC", "s", *names]]
    order = sorted(trials, key=lambda t: (t.values is None, -(t.values or [0])[0], t.number))
    for t in order:
        score = f"{t.values[0]:.4f}" if t.values else "failed"
        cells = [f"{t.params[n]:.4g}" if n in t.params else "-" for n in names]
        rows.append([str(t.number), score, f"{t.user_attrs.get('seconds', 0):.0f}", *cells])
    widths = [max(len(r[i]) for r in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(c.rjust(w) for c, w in zip(r, widths, strict=True)) for r in rows]
    failed = [t for t in order if not t.values]
    lines += [f"trial {t.number} failed: {t.user_attrs.get('why', '?')}" for t in failed]
    return "\n".join(lines)


def write_best(sweep: Sweep, study: Study) -> Path | None:
    """``best.yaml``: what the best trial changes in the recipe, its run, score and command line."""
    found = best(study)
    if found is None:
        return None
    drawn = dict(text.split("=", 1) for text in found.user_attrs["overrides"])
    facts: dict[str, Any] = {
        "recipe": sweep.recipe,
        "trial": found.number,
        "tune_auroc": found.values[0],
        "trials": len(settled(study)),
        "run": found.user_attrs["run"],
        "fixed": list(sweep.changes),
        "overrides": {name: float(value) for name, value in drawn.items()},
        "command": command(sweep, found),
    }
    path = sweep.folder / "best.yaml"
    write_atomic(path, yaml.safe_dump(facts, sort_keys=False, width=1000))
    return path
