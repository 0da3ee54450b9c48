"""Temperature and isotonic recalibration: fitted on tuning data, applied to others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.isotonic import IsotonicRegression

from eval.inputs import labels, lacking, probabilities

#: Natural log of the temperatures looked through.
LOG_RANGE = 5.0
EDGE = 1e-12


@dataclass(frozen=True)
class Temperature:
    """softmax(log P / value); None where `undefined` says why."""

    value: float | None
    undefined: str | None = None

    def apply(self, p: ArrayLike) -> NDArray[np.float64]:
        """Recalibrated probabilities, of class 1 [n] or of every class [n, k].

        Raises:
            ValueError: there is no temperature, or `p` is not made of probabilities.
        """
        if self.value is None:
            raise ValueError(f"no temperature: {self.undefined}")
        found = softmax(_logits(p) / self.value, axis=1)
        return found[:, 1] if np.ndim(p) == 1 else found


@dataclass(frozen=True)
class Isotonic:
    """A rising staircase with slopes: points [m] of probability and what it became."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    undefined: str | None = None

    def apply(self, p: ArrayLike) -> NDArray[np.float64]:
        """Recalibrated probabilities of class 1, [n]; beyond the ends, the ends.

        Raises:
            ValueError: there is no fit, or `p` is not made of probabilities.
        """
        if self.undefined:
            raise ValueError(f"no isotonic fit: {self.undefined}")
        return np.interp(probabilities(p, np.size(p)), self.x, self.y)


def fit_temperature(y: ArrayLike, p: ArrayLike) -> Temperature:
    """The temperature of least cross-entropy on tuning data (Guo et al., ICML 2017).

    Args:
        y: 0 or 1 [n], or the class 0 to k - 1.
        p: probability of class 1 [n], or of every class [n, k].

    Raises:
        ValueError: labels or probabilities are not what they should be.
    """
    logits = _logits(p)
    truth = np.asarray(y)
    if truth.shape != (logits.shape[0],) or not np.isin(truth, np.arange(logits.shape[1])).all():
        raise ValueError(f"labels must be 0 to {logits.shape[1] - 1}, one for each probability")
    truth = truth.astype(np.int64)
    if np.unique(truth).size < 2:
        return Temperature(None, "no rows" if not truth.size else "one class only")
    rows = np.arange(truth.size)
    # the cross-entropy is convex in 1 / T: its slope at 0 and its limit say whether it has a least
    if (logits[rows, truth] == logits.max(axis=1)).all():
        return Temperature(None, "the scores separate the classes: the lower the better")
    if logits[rows, truth].mean() <= logits.mean():
        return Temperature(None, "the scores say nothing of the classes, or the reverse")

    def loss(log_t: float) -> float:
        return float(-log_softmax(logits / np.exp(log_t), axis=1)[rows, truth].mean())

    found = minimize_scalar(
        loss, bounds=(-LOG_RANGE, LOG_RANGE), method="bounded", options={"xatol": 1e-10}
    )
    return Temperature(float(np.exp(found.x)))


def fit_isotonic(y: ArrayLike, p: ArrayLike) -> Isotonic:
    """The rising function of least squares on tuning data [n] (pool adjacent violators).

    Raises:
        ValueError: labels or probabilities are not what they should be.
    """
    label = labels(y)
    probability = probabilities(p, label.size)
    if reason := lacking(label):
        return Isotonic(np.zeros(0), np.zeros(0), reason)
    fit = IsotonicRegression(out_of_bounds="clip").fit(probability, label)
    return Isotonic(np.asarray(fit.X_thresholds_), np.asarray(fit.y_thresholds_))


def _logits(p: ArrayLike) -> NDArray[np.float64]:
    """Log probabilities [n, k], kept from minus infinity."""
    values = np.asarray(p, dtype=np.float64)
    if values.ndim not in (1, 2):
        raise ValueError(f"probabilities of shape {values.shape}: need [n] or [n, k]")
    probabilities(values.ravel(), values.size)
    both = np.stack([1 - values, values], axis=1) if values.ndim == 1 else values
    return np.log(np.clip(both, EDGE, 1))
