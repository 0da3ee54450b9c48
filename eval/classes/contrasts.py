"""Systems against each other on the same rows: paired, by resampling patients.

The interval is that of the differences over shared resamples, and p is the smallest level at which
it excludes 0 (Efron & Tibshirani, An Introduction to the Bootstrap, 1993, ch. 15), never below
2 / (draws + 1). All p on the page are corrected together (Holm).
"""

from __future__ import annotations

from itertools import combinations
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from eval.classes.shapes import Contrast, System
from eval.classes.statistics import RARELY, Cases, Statistic
from eval.comparison.multiple import holm
from eval.estimate import Estimate

Tested = Literal["f1_macro", "balanced_accuracy", "kappa_quadratic", "rps"]
#: Below this a difference is rounding.
NO_SPREAD = 1e-12
TESTED: tuple[Tested, ...] = get_args(Tested)


def contrasts(
    cohort: str,
    cases: Cases,
    found: dict[str, dict[str, Statistic]],
    facts: dict[str, System],
    probabilities: dict[str, NDArray[np.float64]],
) -> list[Contrast]:
    """Two stages against every model, and models against each other where they answer by one rule.

    Systems with the same probabilities for every row differ by their rule only: their ranked
    probability score is not tested, nor that of the second one against others.

    Args:
        cohort: its name.
        cases: its rows and draws.
        found: letter of a system -> its statistics.
        facts: letter -> what the system is.
        probabilities: letter -> P [n, 3].
    """
    pairs = list(combinations(found, 2))
    twins = {b for a, b in pairs if np.array_equal(probabilities[a], probabilities[b])}
    return [
        contrast(cohort, cases, name, (a, found[a][name]), (b, found[b][name]))
        for a, b in pairs
        if facts[a].kind != facts[b].kind or facts[a].rule == facts[b].rule
        for name in TESTED
        if name != "rps" or not {a, b} & twins
    ]


def contrast(
    cohort: str,
    cases: Cases,
    name: Tested,
    first: tuple[str, Statistic],
    second: tuple[str, Statistic],
) -> Contrast:
    """One statistic of two systems: `second` minus `first`, each a letter and its values."""
    (a, x), (b, y) = first, second
    drawn = None if x.draws is None or y.draws is None else y.draws - x.draws
    gap = Statistic(y.value - x.value, drawn)
    difference, p = _difference(gap, cases)
    return Contrast(cohort=cohort, statistic=name, first=a, second=b, difference=difference, p=p)


def corrected(made: list[Contrast]) -> tuple[Contrast, ...]:
    """The same with Holm's p for all that have a p."""
    adjusted = iter(holm([c.p for c in made if c.p is not None]))
    return tuple(
        c if c.p is None else c.model_copy(update={"p_holm": next(adjusted)}) for c in made
    )


def two_sided(draws: NDArray[np.float64]) -> float:
    """p of a difference of 0, from its resampled values [draws]."""
    beyond = min(int((draws <= 0).sum()), int((draws >= 0).sum()))
    return min(1.0, 2 * (beyond + 1) / (draws.size + 1))


def _difference(gap: Statistic, cases: Cases) -> tuple[Estimate, float | None]:
    e = gap.estimate(cases, "undefined for one of the two in these rows")
    if gap.draws is None or e.value is None:
        return e, None
    there = gap.draws[~np.isnan(gap.draws)]
    # what never varies, as between equal systems, is no test and makes no other one sterner
    tested = there.size >= RARELY * gap.draws.size and np.ptp(there) > NO_SPREAD
    return e, two_sided(there) if tested else None
