"""Does 70% mean 70%? Reliability bins, ECE, calibration-in-the-large and slope.

ECE is that of the positive class, not of the top label: they are different numbers. Bins are
(lo, hi], ten of equal width, and 0 belongs to the first. Calibration-in-the-large is the intercept
at slope 1 and the slope is free (Cox 1958); their intervals are Wald intervals with a sandwich
variance summed within patients.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit
from scipy.stats import norm

from data_sharding.schema import Strict
from eval.estimate import Estimate, undefined
from eval.performance import Cases, share

BINS = 10
#: Probabilities are kept this far from 0 and 1 before the logit is taken.
EDGE = 1e-12


class Bin(Strict):
    """Rows with ``low < probability <= high``."""

    low: float
    high: float
    n: int
    mean_predicted: float | None
    observed: Estimate


class Calibration(Strict):
    """How far the probabilities can be taken at their word."""

    mean_predicted: float | None
    bins: tuple[Bin, ...]
    ece_positive_class: Estimate
    in_the_large: Estimate
    slope: Estimate


def calibration(cases: Cases) -> Calibration:
    """Compute all of it for labelled rows; one class only leaves the regressions undefined."""
    bins = reliability(cases)
    n = cases.label.size
    gaps = [_gap(b) for b in bins]
    mean = float(cases.probability.mean()) if n else None
    empty = undefined("nobody with a reference label in this group")
    in_the_large, slope = _regressions(cases)
    return Calibration(
        mean_predicted=mean,
        bins=bins,
        ece_positive_class=Estimate(value=sum(gaps) / n, method="no interval") if n else empty,
        in_the_large=in_the_large,
        slope=slope,
    )


def _gap(b: Bin) -> float:
    """Predictions in the bin times the distance between what was said and what was so."""
    if b.observed.value is None or b.mean_predicted is None:
        return 0.0
    return b.n * abs(b.observed.value - b.mean_predicted)


def reliability(cases: Cases, bins: int = BINS) -> tuple[Bin, ...]:
    """Mean prediction and observed share in `bins` equal bins (lo, hi] of probability."""
    edges = np.array([i / bins for i in range(bins + 1)])
    place = np.clip(np.searchsorted(edges, cases.probability, "left") - 1, 0, bins - 1)
    found = []
    for i in range(bins):
        rows = place == i
        n = int(rows.sum())
        found.append(
            Bin(
                low=edges[i],
                high=edges[i + 1],
                n=n,
                mean_predicted=float(cases.probability[rows].mean()) if n else None,
                observed=share(cases, cases.label == 1, rows, "no prediction in this bin"),
            )
        )
    return tuple(found)


def _regressions(cases: Cases) -> tuple[Estimate, Estimate]:
    """Calibration-in-the-large and slope, or why not."""
    if reason := cases.one_class:
        return undefined(reason), undefined(reason)
    x = logit(np.clip(cases.probability, EDGE, 1 - EDGE))
    ones = np.ones((x.size, 1))
    large = _logistic(ones, cases, offset=x)
    if np.ptp(x) == 0:
        return large[0], undefined("every prediction is the same")
    return large[0], _logistic(np.column_stack([ones, x]), cases, offset=np.zeros_like(x))[1]


def _logistic(design: NDArray, cases: Cases, offset: NDArray) -> list[Estimate]:
    """Maximum likelihood by Newton's method; separable data have no finite answer.

    Args:
        design: float [n, k].
        cases: labels [n] and patients [n].
        offset: float [n], added to the linear predictor with coefficient 1.
    """
    coefficients = np.zeros(design.shape[1])
    separable = undefined("the scores separate the classes: no finite maximum likelihood")
    for _ in range(50):
        p = expit(design @ coefficients + offset)
        information = design.T @ (design * (p * (1 - p))[:, None])
        if np.linalg.cond(information) > 1e12:
            return [separable] * coefficients.size
        step = np.linalg.solve(information, design.T @ (cases.label - p))
        coefficients += step
        if np.abs(coefficients).max() > 1e3:
            return [separable] * coefficients.size
        if np.abs(step).max() < 1e-10:
            break
    else:
        return [separable] * coefficients.size
    scores = np.zeros((cases.draws.counts.shape[1], coefficients.size))
    np.add.at(scores, cases.patient, design * (cases.label - p)[:, None])
    bread = np.linalg.inv(information)
    error = np.sqrt(np.diag(bread @ (scores.T @ scores) @ bread))
    z = float(norm.ppf(0.5 + cases.confidence / 2))
    return [
        Estimate(value=c, low=c - z * e, high=c + z * e, method="Wald, sandwich over patients")
        for c, e in zip(coefficients.tolist(), error.tolist(), strict=True)
    ]
