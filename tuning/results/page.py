"""One page of a sweep, ``sweep.html``: what it found, whether that holds, and every trial.

python -m tuning show SWEEP

It asks nothing of the network, holds no patient's data and no place on this machine, and the same
study gives the same page.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from data_sharding.schema import write_atomic
from eval.places import without_places
from eval.reporting.page import environment
from tuning.results.best import best, diff, fronts, value
from tuning.results.confirm import Confirmed, confirmed, splits
from tuning.results.pictures import pictures, write_pictures
from tuning.results.table import NAMES, Line, lines, score, shown, summary
from tuning.store import by_slot
from tuning.sweep import Sweep


def write_page(sweep: Sweep, study: Study) -> Path:
    """``sweep.html`` and ``pictures/*.svg`` in the sweep's folder; the page's path."""
    found = pictures(sweep, study)
    write_pictures(sweep, found)
    chosen = best(study)
    known = confirmed(sweep)
    rows = lines(sweep, study)
    text = environment().get_template("sweep.html.j2").render(
        sweep=sweep,
        name=sweep.folder.name,
        lead=lead(sweep, study, chosen),
        held=held(known, chosen),
        known=known,
        splits=splits(known) if known else [],
        summary=summary(sweep, study),
        objectives=[NAMES.get(o, o) for o in sweep.objectives],
        changed=[_change(n, *pair) for n, pair in diff(sweep, chosen).items()] if chosen else [],
        fixed=[(n, _text(value(sweep.base, n))) for n in sorted(sweep.fixed)],
        names=list(dict.fromkeys(name for row in rows for name in row.params)),
        rows=[_row(row, chosen) for row in rows],
        pictures=found,
        best=chosen.user_attrs["slot"] if chosen else None,
    )  # fmt: skip
    path = sweep.folder / "sweep.html"
    write_atomic(path, text)
    return path


def lead(sweep: Sweep, study: Study, chosen: FrozenTrial | None) -> str:
    """The best and the recipe as it is, in a sentence."""
    if chosen is None:
        return "No trial is complete yet."
    slot, said = chosen.user_attrs["slot"], _scores(sweep, chosen)
    name = "the recipe as it is" if slot == 0 else f"trial {slot}"
    if len(sweep.objectives) > 1:
        front, *others = fronts(study)
        n = len(front) + sum(map(len, others))
        first = NAMES.get(sweep.objectives[0], sweep.objectives[0])
        return (
            f"{len(front)} of {n} complete trials are on the Pareto front. By {first} the first is "
            f"{name}: {said}."
        )
    if slot == 0:
        return f"No trial beat the recipe as it is: {said}."
    own = by_slot(study).get(0)
    if own is None or own.state != TrialState.COMPLETE:
        return f"Trial {slot} is the best: {said}."
    return f"Trial {slot} is the best: {said}. The recipe as it is has {_scores(sweep, own)}."


def held(known: Confirmed | None, chosen: FrozenTrial | None) -> str:
    """Whether the best is better, in a sentence."""
    made = (known.test or known.tune) if known else None
    if known is None or made is None:
        if chosen is None or chosen.user_attrs["slot"] == 0:
            return "There is no gain to confirm."
        return (
            "Chosen as the best of many on the tune split, its score is optimistic: "
            "python -m tuning confirm says whether it holds."
        )
    where = "test" if known.test else "tune"
    return f"On {len(known.seeds)} new seeds trial {known.trial} is {made.verdict}, {where} split."


def _scores(sweep: Sweep, trial: FrozenTrial) -> str:
    named = zip(sweep.objectives, trial.values, strict=True)
    return ", ".join(f"{NAMES.get(n, n)} {score(n, v)}" for n, v in named)


def _change(name: str, before: Any, after: Any) -> tuple[str, str, str]:
    return name, _text(before), _text(after)


def _row(row: Line, chosen: FrozenTrial | None) -> dict[str, Any]:
    return {
        "slot": row.slot,
        "run": row.run,
        "best": chosen is not None and row.slot == chosen.user_attrs["slot"],
        "front": row.on_front,
        "ended": row.state != TrialState.COMPLETE,
        "what": without_places(row.what),
        "scores": row.scores,
        "seconds": f"{row.seconds:.0f}" if row.seconds else "–",
        "params": row.params,
    }


def _text(setting: Any) -> str:
    """A setting as people read it, without the place that a path names."""
    return without_places(shown("none" if setting is None else setting))
