"""AUROCs, their variance and their differences by DeLong's components, with or without repeats.

Components come from one argsort a score, in O(n log n) (Sun & Xu, IEEE SPL 2014). They are then
summed within patients (Obuchowski, Biometrics 1997), which is exactly DeLong, DeLong &
Clarke-Pearson (Biometrics 1988, with n - 1 denominators) where every patient has one row.
The direction is forced: higher scores mean class 1, and a model worse than chance stays worse.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm, t

from eval.inputs import check_level, labels, lacking, patient_codes, scores
from eval.kernels import placements

#: Below this a variance is the rounding of sums of numbers in [0, 1].
ZERO = 1e-15


@dataclass(frozen=True)
class Auc:
    """One AUROC; None where undefined. `undefined` says why, `note` what to doubt."""

    auc: float | None = None
    variance: float | None = None
    low: float | None = None
    high: float | None = None
    undefined: str | None = None
    note: str | None = None


@dataclass(frozen=True)
class Test:
    """AUROC of a minus AUROC of b, its interval, statistic and two-sided p; None where undefined.

    `z` is normal (paired). `D` is Student's with `df` degrees of freedom (unpaired).
    """

    difference: float | None = None
    error: float | None = None
    z: float | None = None
    D: float | None = None
    df: float | None = None
    p: float | None = None
    low: float | None = None
    high: float | None = None
    undefined: str | None = None

    __test__ = False  # not a test case of pytest


def delong_auc(
    y: ArrayLike, score: ArrayLike, level: float = 0.95, patients: ArrayLike | None = None
) -> Auc:
    """AUROC with DeLong's variance and interval, clipped to [0, 1] (pROC's ``ci.auc``).

    Args:
        y: 0 or 1, [n].
        score: finite float [n], higher for class 1.
        level: two-sided confidence level.
        patients: [n], who each row is of; without it every row is a patient.

    Raises:
        ValueError: labels, scores, patients or level are not what they should be.
    """
    auc, s, reason = _components(y, (score,), patients)
    if auc is None:
        return Auc(undefined=reason)
    if s is None:
        return Auc(float(auc[0]), undefined=reason)
    variance = max(0.0, float(s[0, 0]))
    half = float(norm.ppf(0.5 + check_level(level) / 2)) * math.sqrt(variance)
    low, high = max(0.0, float(auc[0]) - half), min(1.0, float(auc[0]) + half)
    flat = "no variance in this sample: an interval without width is not to be believed"
    return Auc(float(auc[0]), variance, low, high, note=flat if variance <= ZERO else None)


def delong_test(
    y: ArrayLike,
    a: ArrayLike,
    b: ArrayLike,
    level: float = 0.95,
    patients: ArrayLike | None = None,
) -> Test:
    """Do scores `a` and `b` [n] of the same rows have the same AUROC? pROC's paired ``roc.test``.

    Identical rankings give z = 0 and p = 1. A difference with no variance has no p value. The
    interval is clipped to [-1, 1].

    Raises:
        ValueError: as `delong_auc`.
    """
    auc, s, reason = _components(y, (a, b), patients)
    if auc is None:
        return Test(undefined=reason)
    difference = float(auc[0] - auc[1])
    if s is None:
        return Test(difference, undefined=reason)
    variance = float(s[0, 0] + s[1, 1] - 2 * s[0, 1])
    if variance <= ZERO:
        return _without_variance(difference, Test(0.0, 0.0, z=0.0, p=1.0, low=0.0, high=0.0))
    error = math.sqrt(variance)
    z = difference / error
    low, high = _around(difference, error * float(norm.ppf(0.5 + check_level(level) / 2)))
    return Test(difference, error, z, p=float(2 * norm.sf(abs(z))), low=low, high=high)


def delong_unpaired(
    y1: ArrayLike,
    s1: ArrayLike,
    y2: ArrayLike,
    s2: ArrayLike,
    level: float = 0.95,
    patients1: ArrayLike | None = None,
    patients2: ArrayLike | None = None,
) -> Test:
    """AUROC of one cohort minus that of another that shares nobody with it.

    D has Welch's degrees of freedom over the patients of both (pROC's unpaired ``roc.test``); the
    interval is Student's with them.

    Raises:
        ValueError: as `delong_auc`.
    """
    check_level(level)
    first, second = delong_auc(y1, s1, level, patients1), delong_auc(y2, s2, level, patients2)
    if first.auc is None or second.auc is None:
        return Test(undefined=first.undefined if first.auc is None else second.undefined)
    difference = first.auc - second.auc
    if first.variance is None or second.variance is None:
        return Test(difference, undefined=first.undefined or second.undefined)
    variance = first.variance + second.variance
    if variance <= ZERO:
        return _without_variance(difference, Test(0.0, 0.0, D=0.0, p=1.0, low=0.0, high=0.0))
    error = math.sqrt(variance)
    n1, n2 = (
        int(patient_codes(who, np.size(y)).max()) + 1
        for who, y in ((patients1, y1), (patients2, y2))
    )
    df = variance**2 / (first.variance**2 / (n1 - 1) + second.variance**2 / (n2 - 1))
    d = difference / error
    low, high = _around(difference, error * float(t.ppf(0.5 + level / 2, df)))
    return Test(difference, error, D=d, df=df, p=float(2 * t.sf(abs(d), df)), low=low, high=high)


def covariance(
    label: ArrayLike, scores_of: ArrayLike, patient: ArrayLike | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """AUROC [k] and their covariance [k, k], of k models on the same rows.

    Args:
        label: 0 or 1, [n].
        scores_of: float [k, n].
        patient: [n]; without it every row is a patient.

    Raises:
        ValueError: as `delong_auc`; or a class has fewer than two patients.
    """
    auc, s, reason = _components(label, tuple(np.atleast_2d(np.asarray(scores_of))), patient)
    if auc is None or s is None:
        raise ValueError(reason)
    return auc, s


def _components(
    y: ArrayLike, models: tuple[ArrayLike, ...], patients: ArrayLike | None
) -> tuple[NDArray[np.float64] | None, NDArray[np.float64] | None, str]:
    """AUROC [k] and covariance [k, k], or None and why not."""
    label = labels(y)
    values = [scores(s, label.size) for s in models]
    code = patient_codes(patients, label.size)
    if reason := lacking(label):
        return None, None, reason
    sick = label == 1
    rows = np.flatnonzero(sick), np.flatnonzero(~sick)
    m, n = rows[0].size, rows[1].size
    # components: (models, rows of one class)
    every = np.stack([placements(np.argsort(s), s, sick) for s in values])
    v10, v01 = every[:, rows[0]] / n, every[:, rows[1]] / m
    auroc = v10.mean(axis=1)
    v10 -= auroc[:, None]
    v01 -= auroc[:, None]
    one_each = patients is None or int(code.max()) + 1 == label.size
    found = (m, n) if one_each else tuple(np.unique(code[r]).size for r in rows)
    if min(found) < 2:
        why = f"{found[0]} positive and {found[1]} negative here"
        return auroc, None, f"DeLong needs two patients in each class: {why}"
    if one_each:
        return auroc, v10 @ v10.T / ((m - 1) * m) + v01 @ v01.T / ((n - 1) * n), ""
    everyone = int(code.max()) + 1
    d10, d01 = (
        _per_patient(v10, code[rows[0]], everyone),
        _per_patient(v01, code[rows[1]], everyone),
    )
    s10 = found[0] / ((found[0] - 1) * m) * (d10 @ d10.T)
    s01 = found[1] / ((found[1] - 1) * n) * (d01 @ d01.T)
    s11 = everyone / (everyone - 1) * (d10 @ d01.T)
    return auroc, s10 / m + s01 / n + (s11 + s11.T) / (m * n), ""


def _per_patient(values: NDArray, code: NDArray, patients: int) -> NDArray[np.float64]:
    """Sum columns within patients: [k, rows] -> [k, patients]."""
    out = np.empty((values.shape[0], patients))
    for row, v in zip(out, values, strict=True):
        row[:] = np.bincount(code, weights=v, minlength=patients)
    return out


def _without_variance(difference: float, same: Test) -> Test:
    """The test where the variance is 0: `same` if the AUROCs are, else no test."""
    if abs(difference) < 1e-12:
        return same
    return Test(difference, 0.0, undefined="the difference has no variance in this sample")


def _around(difference: float, half: float) -> tuple[float, float]:
    return max(-1.0, difference - half), min(1.0, difference + half)
