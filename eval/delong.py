"""Covariance of correlated AUROCs by DeLong's structural components, with or without repeats.

Components come from midranks in O(n log n) (Sun & Xu, IEEE SPL 2014). They are then summed within
patients (Obuchowski, Biometrics 1997), which is exactly DeLong, DeLong & Clarke-Pearson (Biometrics
1988, with n - 1 denominators) where every patient has one row.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm, rankdata


@dataclass(frozen=True)
class Test:
    """Difference of two AUROCs, its standard error, z, and two-sided p; None where undefined."""

    difference: float
    error: float
    z: float | None
    p: float | None
    undefined: str | None = None

    __test__ = False  # not a test case of pytest


def covariance(
    label: ArrayLike, scores: ArrayLike, patient: ArrayLike | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """AUROC [k] and their covariance [k, k]; higher scores mean class 1, always.

    Args:
        label: 0 or 1, [n].
        scores: float [k, n], of k models on the same rows.
        patient: int [n]; without it every row is a patient.

    Raises:
        ValueError: a class has fewer than two patients, so that its variance is not estimable.
    """
    y, s = np.asarray(label), np.atleast_2d(np.asarray(scores, dtype=np.float64))
    code = np.arange(y.size) if patient is None else np.unique(patient, return_inverse=True)[1]
    sick, well = y == 1, y == 0
    m, n = int(sick.sum()), int(well.sum())
    sick_patients, well_patients = np.unique(code[sick]).size, np.unique(code[well]).size
    if sick_patients < 2 or well_patients < 2:
        raise ValueError(
            f"DeLong needs two patients in each class: {sick_patients} positive and "
            f"{well_patients} negative here"
        )
    # components: (models, rows of one class)
    everyone = rankdata(s, axis=1)
    v10 = (everyone[:, sick] - rankdata(s[:, sick], axis=1)) / n
    v01 = 1 - (everyone[:, well] - rankdata(s[:, well], axis=1)) / m
    auroc = v10.mean(axis=1)
    d10 = _per_patient(v10 - auroc[:, None], code[sick], code.max() + 1)
    d01 = _per_patient(v01 - auroc[:, None], code[well], code.max() + 1)
    patients = np.unique(code).size
    s10 = sick_patients / ((sick_patients - 1) * m) * (d10 @ d10.T)
    s01 = well_patients / ((well_patients - 1) * n) * (d01 @ d01.T)
    s11 = patients / (patients - 1) * (d10 @ d01.T)
    return auroc, s10 / m + s01 / n + (s11 + s11.T) / (m * n)


def _per_patient(values: NDArray, code: NDArray, patients: int) -> NDArray[np.float64]:
    """Sum columns within patients: [k, rows] -> [k, patients]."""
    out = np.zeros((patients, values.shape[0]))
    np.add.at(out, code, values.T)
    return out.T


def paired_test(
    label: ArrayLike, first: ArrayLike, second: ArrayLike, patient: ArrayLike | None = None
) -> Test:
    """Is the AUROC of `second` different from that of `first`? Scores [n] on the same rows.

    Identical rankings give z = 0 and p = 1. A difference with no variance has no p value.

    Raises:
        ValueError: as `covariance`.
    """
    auroc, s = covariance(label, np.stack([np.asarray(first), np.asarray(second)]), patient)
    difference = float(auroc[1] - auroc[0])
    variance = float(s[0, 0] + s[1, 1] - 2 * s[0, 1])
    if variance <= 1e-15:  # rounding of sums of numbers in [0, 1]
        if abs(difference) < 1e-12:
            return Test(difference, 0.0, 0.0, 1.0)
        return Test(difference, 0.0, None, None, "the difference has no variance in this sample")
    error = math.sqrt(variance)
    z = difference / error
    return Test(difference, error, z, float(2 * norm.sf(abs(z))))
