"""Does 70% mean 70%? Brier, ECE, the calibration line; Hosmer-Lemeshow and ICI beside them.

Numbers that share a name are told apart: the Brier score of the positive class is half of that
summed over two classes, and the ECE of the positive class is not that of the top label. Bins are
(lo, hi], of equal width, and 0 belongs to the first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit
from scipy.stats import norm

from eval.estimate import Estimate, undefined
from eval.goodness import hosmer_lemeshow as hosmer_lemeshow
from eval.inputs import check_level, labels, lacking, patient_codes, probabilities
from eval.multiclass import classes
from eval.recalibrate import fit_isotonic as fit_isotonic
from eval.recalibrate import fit_temperature as fit_temperature
from eval.smooth import ici as ici

#: Probabilities are kept this far from 0 and 1 before the logit is taken.
EDGE = 1e-12


@dataclass(frozen=True)
class CalibrationLine:
    """Log odds of the outcome = intercept + slope x log odds predicted (Cox, Biometrika 1958).

    `in_the_large` is the intercept where the slope is held at 1.
    """

    slope: Estimate
    intercept: Estimate
    in_the_large: Estimate


def brier(y: ArrayLike, p: ArrayLike) -> Estimate:
    """Mean of (p - y)^2 for class 1 alone; half of the two-class sum that some papers print.

    Raises:
        ValueError: labels or probabilities are not what they should be, here and below.
    """
    label = labels(y)
    probability = probabilities(p, label.size)
    if not label.size:
        return undefined("no rows")
    error = float(((probability - label) ** 2).mean())
    return Estimate(value=error, method="binary Brier, no interval")


def multiclass_brier(y: ArrayLike, P: ArrayLike) -> Estimate:
    """Mean over rows [n] of the squared errors summed over classes [n, k]; in [0, 2]."""
    truth, p = classes(y, P)
    if not truth.size:
        return undefined("no rows")
    error = float(((p - np.eye(p.shape[1])[truth]) ** 2).sum(axis=1).mean())
    return Estimate(value=error, method="Brier summed over classes, no interval")


def ece(y: ArrayLike, p: ArrayLike, bins: int = 10) -> Estimate:
    """Expected calibration error of the positive class."""
    label = labels(y)
    probability = probabilities(p, label.size)
    return _ece(label, probability, bins, "positive class")


def top_label_ece(y: ArrayLike, P: ArrayLike, bins: int = 10) -> Estimate:
    """Expected calibration error of the most probable class [n, k] being the true one [n]."""
    truth, p = classes(y, P)
    top = p.argmax(axis=1) if truth.size else truth
    return _ece((top == truth).astype(int), p.max(axis=1), bins, "top label")


def bin_of(p: NDArray[np.float64], bins: int) -> NDArray[np.int64]:
    """Which of `bins` equal bins (lo, hi] each probability [n] is in."""
    if bins < 1:
        raise ValueError(f"{bins} bins: at least one")
    edges = np.array([i / bins for i in range(bins + 1)])
    return np.clip(np.searchsorted(edges, p, "left") - 1, 0, bins - 1)


def _ece(right: NDArray, p: NDArray, bins: int, of: str) -> Estimate:
    place = bin_of(p, bins)
    if not right.size:
        return undefined("no rows")
    gaps = np.bincount(place, weights=right - p, minlength=bins)
    value = float(np.abs(gaps).sum() / right.size)
    return Estimate(value=value, method=f"ECE of the {of}, {bins} bins (lo, hi], no interval")


def calibration_line(
    y: ArrayLike, p: ArrayLike, patients: ArrayLike | None = None, level: float = 0.95
) -> CalibrationLine:
    """Slope, intercept and calibration-in-the-large, with Wald intervals by a sandwich variance.

    Args:
        y: 0 or 1, [n].
        p: in [0, 1], [n].
        patients: [n]; scores are summed within patients.
        level: two-sided confidence level.
    """
    label = labels(y)
    x = logit(np.clip(probabilities(p, label.size), EDGE, 1 - EDGE))
    code = patient_codes(patients, label.size)
    check_level(level)
    if reason := lacking(label):
        none = undefined(reason)
        return CalibrationLine(none, none, none)
    ones = np.ones((x.size, 1))
    large = _logistic(ones, label, x, code, level)[0]
    if np.ptp(x) == 0:
        flat = undefined("every prediction is the same")
        return CalibrationLine(flat, flat, large)
    both = _logistic(np.column_stack([ones, x]), label, np.zeros_like(x), code, level)
    return CalibrationLine(both[1], both[0], large)


def _logistic(
    design: NDArray, label: NDArray, offset: NDArray, code: NDArray, level: float
) -> list[Estimate]:
    """Maximum likelihood by Newton's method; separable data have no finite answer.

    Args:
        design: float [n, k].
        label: 0 or 1, [n].
        offset: float [n], added to the linear predictor with coefficient 1.
        code: int [n], the patient of each row.
        level: two-sided confidence level.
    """
    coefficients = np.zeros(design.shape[1])
    separable = undefined("the scores separate the classes: no finite maximum likelihood")
    for _ in range(50):
        p = expit(design @ coefficients + offset)
        information = design.T @ (design * (p * (1 - p))[:, None])
        if np.linalg.cond(information) > 1e12:
            return [separable] * coefficients.size
        step = np.linalg.solve(information, design.T @ (label - p))
        coefficients += step
        if np.abs(coefficients).max() > 1e3:
            return [separable] * coefficients.size
        if np.abs(step).max() < 1e-10:
            break
    else:
        return [separable] * coefficients.size
    scores = np.zeros((int(code.max()) + 1, coefficients.size))
    np.add.at(scores, code, design * (label - p)[:, None])
    bread = np.linalg.inv(information)
    error = np.sqrt(np.diag(bread @ (scores.T @ scores) @ bread))
    z = float(norm.ppf(0.5 + level / 2))
    return [
        Estimate(value=c, low=c - z * e, high=c + z * e, method="Wald, sandwich over patients")
        for c, e in zip(coefficients.tolist(), error.tolist(), strict=True)
    ]
