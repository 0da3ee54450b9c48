"""Confidence intervals by name: binomial, the same for repeated patients, and the bootstrap.

Three constructions are offered because published tables use all three and they differ:

- ``wilson``: the score interval (Wilson, JASA 1927);
- ``clopper-pearson``: the exact interval (Clopper & Pearson, Biometrika 1934);
- ``hmisc-wilson``: what R's ``Hmisc::binconf(method="wilson")`` prints. It equals Wilson except at
  one success, where its lower limit is ``-log(1 - alpha) / n``, and at ``n - 1``, where its upper
  limit is ``1 + log(1 - alpha) / n``.

A binomial interval believes that rows are independent. Two pictures of one patient are not, so
`proportion` divides the sample size by the design effect (Rao & Scott, Biometrics 1992).
"""

from __future__ import annotations

import math
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri
from scipy.stats import beta

from eval.estimate import Estimate, undefined
from eval.inputs import check_level
from eval.resample import Bootstrap as Bootstrap
from eval.resample import bootstrap as bootstrap
from eval.resample import bootstrap_auc as bootstrap_auc

Method = Literal["wilson", "clopper-pearson", "hmisc-wilson"]


def wilson(x: float, n: float, level: float = 0.95) -> Estimate:
    """x of n with Wilson's score interval; undefined where n is 0.

    Raises:
        ValueError: x is not in [0, n], or the level is not in (0, 1).
    """
    return _of_counts(x, n, "wilson", level)


def binconf(x: float, n: float, level: float = 0.95) -> Estimate:
    """x of n with the interval that ``Hmisc::binconf`` prints; errors as `wilson`."""
    return _of_counts(x, n, "hmisc-wilson", level)


def clopper_pearson(x: float, n: float, level: float = 0.95) -> Estimate:
    """x of n with the exact interval; errors as `wilson`."""
    return _of_counts(x, n, "clopper-pearson", level)


def _of_counts(x: float, n: float, method: Method, level: float) -> Estimate:
    check_level(level)
    if x == n == 0:
        return undefined("0 of 0 is not a proportion")
    low, high = binomial(x, n, method, level)
    return Estimate(value=float(x / n), low=low, high=high, method=method)


def binomial(
    successes: float, trials: float, method: Method = "wilson", confidence: float = 0.95
) -> tuple[float, float]:
    """Lower and upper limit for a proportion.

    Args:
        successes: count in [0, trials]; need not be whole (an effective sample).
        trials: count above 0.
        method: which construction, see the module.
        confidence: two-sided level in (0, 1).

    Raises:
        ValueError: the counts are impossible or the method is not known.
    """
    if not trials > 0 or not 0 <= successes <= trials:
        raise ValueError(f"{successes} of {trials} is not a proportion")
    if method not in get_args(Method):
        raise ValueError(f"interval {method!r}: choose one of {', '.join(get_args(Method))}")
    alpha = 1 - confidence
    if method == "clopper-pearson":
        failures = trials - successes
        low = 0.0 if successes == 0 else float(beta.ppf(alpha / 2, successes, failures + 1))
        high = 1.0 if failures == 0 else float(beta.ppf(1 - alpha / 2, successes + 1, failures))
        return low, high
    z = float(ndtri(1 - alpha / 2))
    p = successes / trials
    centre = p + z * z / (2 * trials)
    half = z * math.sqrt((p * (1 - p) + z * z / (4 * trials)) / trials)
    scale = 1 + z * z / trials
    low = 0.0 if successes == 0 else (centre - half) / scale
    high = 1.0 if successes == trials else (centre + half) / scale
    if method == "hmisc-wilson":
        low = -math.log(1 - alpha) / trials if successes == 1 else low
        high = 1 + math.log(1 - alpha) / trials if successes == trials - 1 else high
    return low, high


def design_effect(success: NDArray[np.bool_], patient: NDArray[np.int64]) -> float:
    """Variance of a proportion over patients, relative to independent rows; never below 1.

    The linearised variance of the ratio ``sum(k_i) / sum(n_i)`` over patients i, divided by
    ``p (1 - p) / n`` (Rao & Scott 1992). Where all rows agree the data say nothing about it, and
    the cautious answer is rows per patient.

    Args:
        success: bool [n].
        patient: int [n], a code for the patient of each row.
    """
    n = success.size
    patients, code = np.unique(patient, return_inverse=True)
    if patients.size == n:
        return 1.0
    trials = np.bincount(code)
    hits = np.bincount(code, weights=success)
    p = hits.sum() / n
    if patients.size == 1 or p in (0.0, 1.0):
        return n / patients.size
    m = patients.size
    variance = m / (m - 1) * float(((hits - p * trials) ** 2).sum()) / n**2
    return max(1.0, variance / (p * (1 - p) / n))


def proportion(
    success: ArrayLike,
    patient: ArrayLike,
    empty: str,
    method: Method = "wilson",
    confidence: float = 0.95,
) -> Estimate:
    """The share of rows that succeed, with an interval that knows patients.

    Args:
        success: bool [n].
        patient: int [n].
        empty: the reason to give when n is 0.
        method: see the module.
        confidence: two-sided level.
    """
    hits = np.asarray(success, dtype=bool)
    if hits.size == 0:
        return undefined(empty)
    effect = design_effect(hits, np.asarray(patient))
    k, n = float(hits.sum()), float(hits.size)
    low, high = binomial(k / effect, n / effect, method, confidence)
    suffix = "" if effect == 1 else f", design effect {effect:.2f} (repeated patients)"
    return Estimate(value=k / n, low=low, high=high, method=method + suffix)
