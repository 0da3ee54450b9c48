"""A model's subgroups as they may leave: their names vetted, their small cells empty."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from eval.cohort import ModelMetrics
from eval.dashboards.names import Words
from eval.estimate import Estimate, undefined
from eval.subgroups import Gap

GAPS = ("auroc", "sensitivity", "specificity")
FEW = undefined("too few patients of a class")


@dataclass(frozen=True)
class Group:
    """One group; everything but its name is None where it is kept back."""

    by: str
    level: str
    patients: int | None = None
    auroc: Estimate | None = None
    sensitivity: Estimate | None = None
    specificity: Estimate | None = None
    gap: Gap | None = None


def groups(x: ModelMetrics, words: Words, least: int, most: int) -> Iterator[Group]:
    """Those of one characteristic and of two; groups of nobody are left out.

    Args:
        x: of one model on one cohort, with small groups kept back already.
        words: what may be said of sites and makers.
        least: patients of a class that a share may be of.
        most: pictures of one patient: so many pictures may be of one.
    """
    for g in x.subgroups:
        level = words.level(g.by, g.level)
        if (p := g.performance) is None:
            yield Group(g.by, level)
        elif p.n:
            yield Group(
                g.by,
                level,
                p.patients,
                p.auroc,
                p.sensitivity if p.positives >= least * most else FEW,
                p.specificity if p.negatives >= least * most else FEW,
                g.gap,
            )


def gap_numbers(found: list[Group]) -> tuple[dict[tuple[str, str, str], Estimate], float | None]:
    """(by, level, measure) -> the gap, of one characteristic; and the largest AUROC gap's size."""
    numbers = {
        (g.by, g.level, name): getattr(g.gap, name)
        for g in found
        if g.gap is not None and " x " not in g.by
        for name in GAPS
    }
    sizes = [
        abs(e.value) for (*_, name), e in numbers.items() if name == "auroc" and e.value is not None
    ]
    return numbers, max(sizes, default=None)
