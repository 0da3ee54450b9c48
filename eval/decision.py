"""Is acting on the model worth it? Decision curves (Vickers & Elkin, Med Decis Making 2006).

The rule is risk >= threshold. Net benefit is TP/n - FP/n x pt/(1 - pt): the threshold says how many
people treated for nothing one person found is worth. Beside it stand treating all and nobody.
NRI and IDI compare two models (Pencina et al., Stat Med 2008).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm

from eval.inputs import check_level, labels, lacking, patient_codes, probabilities


@dataclass(frozen=True)
class DecisionCurve:
    """Net benefit at each threshold, [k]; `low` and `high` are NaN where one patient is all."""

    threshold: NDArray[np.float64]
    net_benefit: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    treat_all: NDArray[np.float64]
    treat_none: NDArray[np.float64]
    undefined: str | None = None


@dataclass(frozen=True)
class Reclassification:
    """Value, standard error, z, two-sided p and interval; None where `undefined` says why.

    `events` and `nonevents` are its parts: what the second model gains among each.
    """

    value: float | None = None
    events: float | None = None
    nonevents: float | None = None
    error: float | None = None
    z: float | None = None
    p: float | None = None
    low: float | None = None
    high: float | None = None
    undefined: str | None = None


def net_benefit(
    y: ArrayLike,
    p: ArrayLike,
    thresholds: ArrayLike,
    patients: ArrayLike | None = None,
    level: float = 0.95,
) -> DecisionCurve:
    """Net benefit of treating those with risk >= threshold.

    It is a mean over rows, so the interval is that of a mean, with rows summed within patients.

    Args:
        y: 0 or 1, [n].
        p: in [0, 1], [n].
        thresholds: in [0, 1), [k]; taken as the decimals they were meant to be (`decimal`).
        patients: [n], who each row is of; without it every row is a patient.
        level: two-sided confidence level.

    Raises:
        ValueError: labels, probabilities or thresholds are not what they should be.
    """
    label = labels(y)
    risk = probabilities(p, label.size)
    at = decimal(thresholds)
    code = patient_codes(patients, label.size)
    z = float(norm.ppf(0.5 + check_level(level) / 2))
    none = np.full(at.size, np.nan)
    if not label.size:
        return DecisionCurve(at, none, none, none, none, np.zeros(at.size), "no rows")
    odds = at / (1 - at)
    people, n = int(code.max()) + 1, label.size
    rows = np.bincount(code)
    value, error = np.empty(at.size), np.full(at.size, np.nan)
    for i in range(at.size):
        gain = (risk >= at[i]) * (label - (1 - label) * odds[i])
        value[i] = gain.mean()
        if people > 1:
            apart = np.bincount(code, weights=gain) - value[i] * rows
            error[i] = math.sqrt(people / (people - 1) * float(apart @ apart)) / n
    share = label.mean()
    return DecisionCurve(
        threshold=at,
        net_benefit=value,
        low=value - z * error,
        high=value + z * error,
        treat_all=share - (1 - share) * odds,
        treat_none=np.zeros(at.size),
    )


def decimal(thresholds: ArrayLike) -> NDArray[np.float64]:
    """Thresholds [k] as the nearest decimals of 12 digits: 0.15000000000000002 was meant as 0.15.

    A risk of 0.15 is at or above 0.15, and must not fall below it by a rounding of ``3 * 0.05``.

    Raises:
        ValueError: not a list of numbers in [0, 1).
    """
    t = np.asarray(thresholds, dtype=np.float64)
    if t.ndim != 1 or not np.isfinite(t).all() or (t < 0).any() or (t >= 1).any():
        raise ValueError("thresholds must be a list of numbers in [0, 1)")
    return np.array([float(f"{x:.12g}") for x in t])


def nri(
    y: ArrayLike,
    a: ArrayLike,
    b: ArrayLike,
    thresholds: ArrayLike | None = None,
    level: float = 0.95,
) -> Reclassification:
    """Net reclassification improvement of `b` over `a`.

    Without thresholds any rise or fall counts (the continuous NRI); with them only a change of
    category, risk >= threshold being in the higher one. Rows are taken as independent. The
    continuous NRI favours even useless markers (Hilden & Gerds, Stat Med 2014): report net benefit.

    Args:
        y: 0 or 1, [n].
        a: risks of the first model, [n].
        b: risks of the second model, [n].
        thresholds: in [0, 1), [k].
        level: two-sided confidence level.

    Raises:
        ValueError: labels, probabilities or thresholds are not what they should be.
    """
    label, first, second = _two(y, a, b)
    if thresholds is not None:
        cuts = np.sort(decimal(thresholds))
        first, second = (np.searchsorted(cuts, risk, "right") for risk in (first, second))
    if reason := lacking(label):
        return Reclassification(undefined=reason)
    moved = np.sign(second - first)
    gains = moved[label == 1], -moved[label == 0]
    variance = sum(float(g.var()) / g.size for g in gains)
    return _improvement(gains[0].mean() + gains[1].mean(), gains, variance, level)


def idi(y: ArrayLike, a: ArrayLike, b: ArrayLike, level: float = 0.95) -> Reclassification:
    """Integrated discrimination improvement of `b` over `a`: gain in mean risk between classes.

    Arguments and errors as `nri`.
    """
    label, first, second = _two(y, a, b)
    if reason := lacking(label):
        return Reclassification(undefined=reason)
    gains = (second - first)[label == 1], (first - second)[label == 0]
    if min(g.size for g in gains) < 2:
        value, parts = gains[0].mean() + gains[1].mean(), [float(g.mean()) for g in gains]
        return Reclassification(
            float(value), *parts, undefined="one row of a class has no variance"
        )
    variance = sum(float(g.var(ddof=1)) / g.size for g in gains)
    return _improvement(gains[0].mean() + gains[1].mean(), gains, variance, level)


def _two(y: ArrayLike, a: ArrayLike, b: ArrayLike) -> tuple[NDArray, NDArray, NDArray]:
    label = labels(y)
    first = probabilities(a, label.size, "probabilities of the first model")
    return label, first, probabilities(b, label.size, "probabilities of the second model")


def _improvement(
    value: float, gains: tuple[NDArray, NDArray], variance: float, level: float
) -> Reclassification:
    z = float(norm.ppf(0.5 + check_level(level) / 2))
    parts = float(value), float(gains[0].mean()), float(gains[1].mean())
    if variance <= 1e-15:
        return Reclassification(*parts, 0.0, undefined="the change has no variance in this sample")
    error = math.sqrt(variance)
    return Reclassification(
        *parts,
        error,
        z=value / error,
        p=float(2 * norm.sf(abs(value / error))),
        low=float(value - z * error),
        high=float(value + z * error),
    )
