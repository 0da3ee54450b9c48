"""Two groups in a table of who was studied: are they alike?

Welch's t for means, Pearson's chi-squared without Yates for shares, and the standardised
difference, which does not grow with the number of patients.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import chi2, ttest_ind

from data_sharding.schema import Strict

MEANS, SHARES = "Welch t", "Pearson chi-squared"


class Contrast(Strict):
    """Negative against positive labels; None where `undefined` says why.

    - test: "Welch t" or "Pearson chi-squared"; statistic, df and two-sided p are its own.
    - smd: standardised mean difference, positive minus negative, in standard deviations; of
      shares the multinomial one (Yang & Dalton, SAS Global Forum 2012), which has no sign.
    - note: what to doubt, such as expected counts below 5.
    """

    test: str
    statistic: float | None = None
    df: float | None = None
    p: float | None = None
    smd: float | None = None
    undefined: str | None = None
    note: str | None = None


def of_means(first: ArrayLike, second: ArrayLike) -> Contrast:
    """Welch's t and smd of `second` minus `first`, finite numbers [n] each."""
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if min(a.size, b.size) < 2:
        return Contrast(test=MEANS, undefined=f"known of {a.size} and {b.size}: two of each needed")
    with np.errstate(over="ignore", invalid="ignore"):
        spread = float(np.sqrt((a.var(ddof=1) + b.var(ddof=1)) / 2))
    if not np.isfinite([spread, a.mean(), b.mean()]).all():
        return Contrast(test=MEANS, undefined="values too large to have a mean and a spread")
    if spread <= 1e-12 * max(1.0, abs(float(a.mean())), abs(float(b.mean()))):
        return Contrast(test=MEANS, undefined="everybody has the same value")
    t: Any = ttest_ind(b, a, equal_var=False)
    smd = float(b.mean() - a.mean()) / spread
    return Contrast(test=MEANS, statistic=float(t.statistic), df=float(t.df), p=float(t.pvalue),
                    smd=smd)  # fmt: skip


def of_shares(counts: ArrayLike) -> Contrast:
    """Pearson's chi-squared of counts [2, levels], without Yates; levels of nobody are left out."""
    table = np.asarray(counts, np.float64)
    table = table[:, table.sum(axis=0) > 0]
    of_side = table.sum(axis=1)
    if table.shape[1] < 2 or min(of_side) == 0:
        few = "one level only" if table.shape[1] else "known of nobody"
        return Contrast(test=SHARES, undefined="one group has nobody" if min(of_side) == 0 else few)
    expected = of_side[:, None] * table.sum(axis=0) / table.sum()
    statistic = float(((table - expected) ** 2 / expected).sum())
    df = table.shape[1] - 1
    small = int((expected < 5).sum())
    return Contrast(
        test=SHARES,
        statistic=statistic,
        df=df,
        p=float(chi2.sf(statistic, df)),
        smd=_multinomial_smd(table / of_side[:, None]),
        note=f"{small} of {expected.size} expected counts are below 5" if small else None,
    )


def _multinomial_smd(share: NDArray[np.float64]) -> float | None:
    """Mahalanobis distance of two lists of shares [2, levels], their covariances averaged."""
    first, second = share[:, 1:]
    covariance = sum(np.diag(s) - np.outer(s, s) for s in (first, second)) / 2
    apart = second - first
    try:
        squared = float(apart @ np.linalg.solve(covariance, apart))
    except np.linalg.LinAlgError:
        return None
    return float(np.sqrt(squared)) if np.isfinite(squared) and squared >= 0 else None
