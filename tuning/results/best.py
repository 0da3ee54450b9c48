"""Which trials are the best, and ``best.yaml``: the best as a recipe that runs.

python -m training --recipe SWEEP/best.yaml [SECTION.KEY=VALUE...]

The file says in what the best differs from the recipe that the sweep started from, setting by
setting (from, to), what the user had fixed, and what the trial reached.
"""

from __future__ import annotations

import shlex
from functools import reduce
from pathlib import Path
from typing import Any

import yaml
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from data_sharding.schema import write_atomic
from training.config import Config
from training.overrides import override
from training.recipe_file import FORMAT
from tuning.store import settled
from tuning.sweep import Sweep

HEAD = """\
# The best of {n} trials of a sweep. Run it, with any setting changed on top:
#   {command}
# It was chosen by the tune split, where its score is optimistic:
#   python -m tuning confirm {folder}
"""


def fronts(study: Study) -> list[list[FrozenTrial]]:
    """Complete trials in fronts: no one of a front is beaten by one of it or of a later front.

    One trial beats another that is as good at least in every objective, and better in one. With one
    objective a front is the trials of one value. Within a front the better in the first objective
    comes first, then the earlier.
    """
    left = [t for t in settled(study) if t.state == TrialState.COMPLETE]
    signs = [1 if d == StudyDirection.MAXIMIZE else -1 for d in study.directions]
    worth = {t.number: tuple(s * v for s, v in zip(signs, t.values, strict=True)) for t in left}

    def beaten(t: FrozenTrial) -> bool:
        mine, others = worth[t.number], [worth[o.number] for o in left]
        return any(o != mine and all(b >= a for a, b in zip(mine, o, strict=True)) for o in others)

    found = []
    while left:
        front = [t for t in left if not beaten(t)]
        found.append(sorted(front, key=lambda t: ([-v for v in worth[t.number]], t.number)))
        left = [t for t in left if t not in front]
    return found


def ranking(study: Study) -> list[FrozenTrial]:
    """Complete trials, the best first; with several objectives front by front (`fronts`)."""
    return [t for front in fronts(study) for t in front]


def best(study: Study) -> FrozenTrial | None:
    """The first of `ranking`; None where no trial is complete."""
    return next(iter(ranking(study)), None)


def overrides_of(trial: FrozenTrial) -> list[str]:
    """What a trial changes in the sweep's settings, ``section.key=value``."""
    return [str(text) for text in trial.user_attrs.get("overrides", [])]


def config_of(sweep: Sweep, trial: FrozenTrial) -> Config:
    """A trial's settings where the sweep's were: to run it again, and predict everything."""
    return override(sweep.base, overrides_of(trial))


def diff(sweep: Sweep, trial: FrozenTrial) -> dict[str, tuple[Any, Any]]:
    """Setting -> (the recipe's, this trial's), of those that the search has changed."""
    made = config_of(sweep, trial)
    names = [text.partition("=")[0] for text in overrides_of(trial)]
    pairs = {name: (value(sweep.base, name), value(made, name)) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def value(config: Config, name: str) -> Any:
    """A setting by its dotted name, as plain data; None where its section is left out."""
    tree = config.model_dump(mode="json")
    return reduce(lambda node, key: None if node is None else node[key], name.split("."), tree)


def command(sweep: Sweep) -> str:
    """The command line that trains the best again."""
    return shlex.join(["python", "-m", "training", "--recipe", str(sweep.folder / "best.yaml")])


def write_best(sweep: Sweep, study: Study) -> Path | None:
    """``best.yaml`` in the sweep's folder, a recipe file; None where no trial is complete."""
    trial = best(study)
    if trial is None:
        return None
    fixed = [c.partition("=")[0] for c in sweep.changes]
    facts: dict[str, Any] = {
        "format": FORMAT,
        "recipe": sweep.recipe,
        "fixed": {n: value(sweep.base, n) for n in dict.fromkeys(fixed)},
        "settings": {n: {"from": a, "to": b} for n, (a, b) in diff(sweep, trial).items()},
        "found": {
            "sweep": sweep.folder.name,
            "trial": trial.user_attrs["slot"],
            "trials": len(settled(study)),
            "run": trial.user_attrs["run"],
            "score": dict(zip(sweep.objectives, trial.values, strict=True)),
            "searched": [text.partition("=")[0] for text in overrides_of(trial)],
        },
    }
    head = HEAD.format(n=len(settled(study)), command=command(sweep), folder=sweep.folder)
    path = sweep.folder / "best.yaml"
    write_atomic(path, head + yaml.safe_dump(facts, sort_keys=False, width=100, allow_unicode=True))
    return path
