"""The trials of a sweep as aligned lines: best first, then those stopped early, then the failed.

python -m tuning show SWEEP
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from eval.console import aligned
from tuning.results.best import fronts
from tuning.store import by_slot, settled
from tuning.sweep import Sweep

#: Objectives as they head a column.
NAMES = {
    "auroc": "AUROC",
    "auroc_low": "AUROC low",
    "gap": "gap",
    "cost": "multiply-adds",
    "c": "C",
}


@dataclass(frozen=True)
class Line:
    """A trial: its number from 0, `what` became of it in words, its scores and what it tried."""

    slot: int
    what: str
    state: TrialState
    on_front: bool
    scores: tuple[str, ...]
    params: dict[str, str]
    seconds: float
    run: str


def lines(sweep: Sweep, study: Study) -> list[Line]:
    """Best first (`fronts`), then stopped early (furthest first), failed, and those at work."""
    ordered = fronts(study)
    front = {t.number for t in ordered[0]} if ordered and len(sweep.objectives) > 1 else set()
    done = [t for f in ordered for t in f]
    pruned = [t for t in settled(study) if t.state == TrialState.PRUNED]
    pruned.sort(key=lambda t: (-t.user_attrs.get("pruned_at", 0), t.user_attrs["slot"]))
    failed = [t for t in settled(study) if t.state == TrialState.FAIL]
    known = {t.number for t in [*done, *pruned, *failed]}
    rest = [t for _, t in sorted(by_slot(study).items()) if t.number not in known]
    return [_line(sweep, t, t.number in front) for t in [*done, *pruned, *failed, *rest]]


def table(sweep: Sweep, study: Study) -> str:
    """A line a trial, then a sentence each of what the sweep was and of every trial that failed.

    With several objectives ``*`` marks the Pareto front: no other trial is better in one of them
    and as good in the rest.
    """
    found = lines(sweep, study)
    names = list(dict.fromkeys(name for line in found for name in line.params))
    heads = [NAMES.get(o, o) for o in sweep.objectives]
    several = len(sweep.objectives) > 1
    rows = [("trial", *[""] * several, *heads, "s", *names)]
    for line in found:
        cells = [line.params.get(n, "-") for n in names]
        seconds = f"{line.seconds:.0f}" if line.seconds else "-"
        star = ["*" if line.on_front else ""] * several
        rows.append((str(line.slot), *star, *line.scores, seconds, *cells))
    text = aligned(rows) if found else ["no trial yet"]
    text += [f"trial {x.slot} {x.what}" for x in found if x.state == TrialState.FAIL]
    return "\n".join([*text, summary(sweep, study)])


def summary(sweep: Sweep, study: Study) -> str:
    """How many trials came to what end, in a sentence."""
    counts = {"complete": 0, "stopped early": 0, "failed": 0, "at work": 0}
    words = {
        TrialState.COMPLETE: "complete",
        TrialState.PRUNED: "stopped early",
        TrialState.FAIL: "failed",
    }
    for trial in by_slot(study).values():
        counts[words.get(trial.state, "at work")] += 1
    said = ", ".join(f"{n} {what}" for what, n in counts.items() if n)
    ways = [f"{sweep.sampler}, {sweep.pruner}, seed {sweep.base.seed}"]
    if len(sweep.objectives) > 1:
        ways.append("* Pareto front")
    return f"{len(by_slot(study))} trials: {said or 'none'} ({'; '.join(ways)})"


def _line(sweep: Sweep, trial: FrozenTrial, on_front: bool) -> Line:
    attrs = trial.user_attrs
    return Line(
        slot=attrs["slot"],
        what=fate(trial),
        state=trial.state,
        on_front=on_front,
        scores=_scores(sweep, trial),
        params={n: shown(v) for n, v in sorted(trial.params.items())},
        seconds=float(attrs.get("seconds", 0)),
        run=str(attrs.get("run", "")),
    )


def fate(trial: FrozenTrial) -> str:
    """What became of a trial, in words."""
    attrs = trial.user_attrs
    if trial.state == TrialState.PRUNED:
        return f"stopped at step {attrs.get('pruned_at', '?')}"
    if trial.state == TrialState.FAIL:
        return f"failed: {' '.join(str(attrs.get('why', 'no reason is known')).split())}"
    return "complete" if trial.state == TrialState.COMPLETE else "at work"


def _scores(sweep: Sweep, trial: FrozenTrial) -> tuple[str, ...]:
    if trial.state == TrialState.COMPLETE:
        return tuple(score(n, v) for n, v in zip(sweep.objectives, trial.values, strict=True))
    word = "failed" if trial.state == TrialState.FAIL else fate(trial)
    return (word, *["-"] * (len(sweep.objectives) - 1))


def score(name: str, value: float) -> str:
    """An objective's value: shares to four places, counts with a prefix."""
    if name != "cost":
        return f"{value:.4f}"
    for unit in ("", "k", "M", "G", "T"):
        if value < 999.5:
            return f"{value:.4g} {unit}".strip()
        value /= 1000
    return f"{value:.4g} P"


def shown(value: Any) -> str:
    """A parameter's value, numbers to four digits as they are run."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
