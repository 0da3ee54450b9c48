"""Hosmer & Lemeshow's test, with groups that ties do not split.

Groups end at the unique type-7 quantiles of the probabilities, right-closed, the lowest included
(R's ``cut``): equal probabilities share a group, so there may be fewer groups than were asked for.
Splitting the sorted list in equal parts would give another answer for each order of the ties.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import chi2

from eval.inputs import labels, probabilities
from eval.multiclass import classes


@dataclass(frozen=True)
class Group:
    """Rows with low < probability <= high (the first: low <= probability)."""

    low: float
    high: float
    n: int
    observed: int
    expected: float


@dataclass(frozen=True)
class HosmerLemeshow:
    """The test; None where undefined, and why. `table` is there either way."""

    chi2: float | None
    df: int | None
    p: float | None
    table: tuple[Group, ...]
    undefined: str | None = None


def hosmer_lemeshow(
    y: ArrayLike, p: ArrayLike, groups: int = 10, external: bool = False
) -> HosmerLemeshow:
    """Do observed counts fit the probabilities?

    Args:
        y: 0 or 1, [n].
        p: in [0, 1], [n].
        groups: how many groups to ask for; degrees of freedom follow those that come out.
        external: data the model was not fitted on: as many degrees of freedom as groups, not 2
            fewer.

    Raises:
        ValueError: labels or probabilities are not what they should be; fewer than 3 groups asked.
    """
    label = labels(y)
    probability = probabilities(p, label.size)
    if groups < 3:
        raise ValueError(f"{groups} groups: at least 3")
    if not label.size:
        return HosmerLemeshow(None, None, None, (), "no rows")
    breaks = np.unique(_quantiles(probability, groups))
    k = max(1, breaks.size - 1)
    place = np.clip(np.searchsorted(breaks, probability, "left") - 1, 0, k - 1)
    n = np.bincount(place, minlength=k)
    observed = np.bincount(place, weights=label, minlength=k)
    expected = np.bincount(place, weights=probability, minlength=k)
    ends = np.append(breaks, breaks[-1])
    table = tuple(
        Group(float(ends[i]), float(ends[i + 1]), int(n[i]), int(observed[i]), float(expected[i]))
        for i in range(k)
    )
    if k < 3:
        reason = f"{k} groups are left where equal probabilities share one: fewer than 3"
        return HosmerLemeshow(None, None, None, table, reason)
    # the share of those without the outcome summed by itself: n - expected would lose digits
    unexpected = np.bincount(place, weights=1 - probability, minlength=k)
    if min(expected.min(), unexpected.min()) <= 0:
        reason = "a group expects nobody: probabilities of 0 or 1 allow no such test"
        return HosmerLemeshow(None, None, None, table, reason)
    gap = (observed - expected) ** 2
    statistic = float((gap / expected).sum() + (gap / unexpected).sum())
    df = k if external else k - 2
    return HosmerLemeshow(statistic, df, float(chi2.sf(statistic, df)), table)


def _quantiles(values: NDArray[np.float64], parts: int) -> NDArray[np.float64]:
    """Type-7 quantiles at 0, 1/parts, ..., 1, their places found in whole numbers.

    In floats (n - 1) * 0.3 may fall short of a row that it should meet, and a tie would split.
    """
    ordered = np.sort(values)
    whole, rest = np.divmod(np.arange(parts + 1) * (values.size - 1), parts)
    low, high = ordered[whole], ordered[np.minimum(whole + 1, values.size - 1)]
    return np.where((rest == 0) | (low == high), low, low + (high - low) * (rest / parts))


def of_classes(
    y: ArrayLike, P: ArrayLike, groups: int = 10, draws: int = 2000, seed: int = 0
) -> HosmerLemeshow:
    """The test over k classes at once (Fagerland, Hosmer & Bofin, Stat Med 2008), on new data.

    Rows are grouped by 1 - P of the first class, and each group compares k counts. On data that the
    model was not fitted on the probabilities say all of what is to be expected, so that p is had by
    drawing classes from them: cells that expect next to nobody, as the rarest class among the
    healthiest, do no harm. `df` is what chi-squared would have. `table` is empty.

    Args:
        y: class of each row, 0 to k - 1, [n].
        P: [n, k], rows sum to 1.
        groups: how many at most.
        draws: of classes; p is no smaller than 1 / (draws + 1).
        seed: of the draws.

    Raises:
        ValueError: classes or probabilities are not what they should be; fewer than 3 groups asked.
    """
    truth, p = classes(y, P)
    if groups < 3:
        raise ValueError(f"{groups} groups: at least 3")
    if not truth.size:
        return HosmerLemeshow(None, None, None, (), "no rows")
    breaks = np.unique(_quantiles(1 - p[:, 0], groups))
    k = max(1, breaks.size - 1)
    if k < 3:
        reason = f"{k} groups are left where equal probabilities share one: fewer than 3"
        return HosmerLemeshow(None, None, None, (), reason)
    place = np.clip(np.searchsorted(breaks, 1 - p[:, 0], "left") - 1, 0, k - 1)
    member = np.eye(k)[place]
    expected = member.T @ p
    if expected.min() <= 0:
        reason = "a group expects nobody of a class: probabilities of 0 or 1 allow no such test"
        return HosmerLemeshow(None, None, None, (), reason)

    def statistic(said: NDArray[np.int64]) -> NDArray[np.float64]:
        # said: (draws, rows) -> counts of a class: (draws, groups)
        gaps = [((said == c) @ member - e) ** 2 / e for c, e in enumerate(expected.T)]
        return np.sum(gaps, axis=(0, 2))

    found = float(statistic(truth[None])[0])
    below = p.cumsum(axis=1)[:, :-1]
    rng, beyond = np.random.default_rng(seed), 0
    for start in range(0, draws, 100):
        u = rng.random((min(100, draws - start), truth.size))
        drawn = (u[:, :, None] > below).sum(axis=2)
        beyond += int((statistic(drawn) >= found * (1 - 1e-12)).sum())
    return HosmerLemeshow(found, k * (p.shape[1] - 1), (beyond + 1) / (draws + 1), ())
