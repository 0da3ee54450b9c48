"""Subgroup gaps of several models side by side: who is it worth less to, in which model, where?

The gaps are each run's own, tested and corrected there (`eval.subgroups`); nothing is computed
here. Groups that a run keeps back stay kept back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from eval.cohort import Metrics
from eval.comparison.shapes import GroupGap
from eval.runs import is_tuning


def gaps(metrics: Mapping[str, Sequence[Metrics]]) -> tuple[GroupGap, ...]:
    """Groups by one characteristic of every cohort that nothing was tuned on.

    In the order of cohort, characteristic and level, and within it run by run, model by model.

    Args:
        metrics: of each run, by its name in the comparison.
    """
    found: dict[tuple[str, str, str], list[GroupGap]] = {}
    cohorts = sorted({m.cohort for of_run in metrics.values() for m in of_run})
    for cohort in (c for c in cohorts if not is_tuning(c)):
        for run, of_run in metrics.items():
            for model in (x for m in of_run if m.cohort == cohort for x in m.models):
                for g in model.subgroups:
                    p = g.performance
                    if " x " in g.by or (p is not None and not p.n):
                        continue
                    row = GroupGap(
                        run=run,
                        cohort=cohort,
                        model=model.model,
                        by=g.by,
                        level=g.level,
                        n=None if p is None else p.n,
                        patients=None if p is None else p.patients,
                        auroc=None if p is None else p.auroc,
                        gap=g.gap,
                        suppressed=g.suppressed,
                    )
                    found.setdefault((cohort, g.by, g.level), []).append(row)
    return tuple(row for rows in found.values() for row in rows)


def widest(rows: Sequence[GroupGap]) -> list[GroupGap]:
    """Of each cohort, run and model the group with the largest AUROC gap either way."""
    best: dict[tuple[str, str, str], GroupGap] = {}
    for row in rows:
        if row.gap is None or row.gap.auroc.value is None:
            continue
        place = row.cohort, row.run, row.model
        held = best.get(place)
        if held is None or abs(row.gap.auroc.value) > abs(_value(held)):
            best[place] = row
    return list(best.values())


def _value(row: GroupGap) -> float:
    assert row.gap is not None
    assert row.gap.auroc.value is not None
    return row.gap.auroc.value
