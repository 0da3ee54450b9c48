"""Integrated calibration index: how far a smooth curve of outcomes is from the probabilities.

Austin & Steyerberg (Stat Med 2019): a loess of the outcome on the probability (local quadratic,
span 0.75, tricube weights; Cleveland & Devlin, JASA 1988), and the mean distance to the diagonal.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eval.inputs import labels, lacking, probabilities
from eval.kernels import local_quadratics

#: The curve is fitted at so many of the distinct probabilities at most, and is a line in between.
POINTS = 500
SPAN = 0.75


@dataclass(frozen=True)
class Ici:
    """Mean, median, 90th percentile and largest distance; None where `undefined` says why."""

    ici: float | None = None
    e50: float | None = None
    e90: float | None = None
    emax: float | None = None
    undefined: str | None = None


def ici(y: ArrayLike, p: ArrayLike) -> Ici:
    """Distance between smoothed outcomes and probabilities, over the rows.

    Args:
        y: 0 or 1, [n].
        p: in [0, 1], [n].

    Raises:
        ValueError: labels or probabilities are not what they should be.
    """
    label = labels(y)
    probability = probabilities(p, label.size)
    if reason := lacking(label):
        return Ici(undefined=reason)
    x, row, count = np.unique(probability, return_inverse=True, return_counts=True)
    if x.size < 4:
        return Ici(undefined=f"{x.size} distinct probabilities are too few for a curve")
    mean = np.bincount(row, weights=label) / count
    chosen = np.unique(np.linspace(0, x.size - 1, min(x.size, POINTS)).round().astype(int))
    curve = local_quadratics(x, mean, count, chosen, int(label.size * SPAN + 1e-5))
    for i in np.flatnonzero(np.isnan(curve)):
        curve[i] = _local(x, mean, count, float(x[chosen[i]]))
    smooth = np.interp(probability, x[chosen], np.clip(curve, 0, 1))
    gap = np.abs(smooth - probability)
    e50, e90 = (float(q) for q in np.quantile(gap, (0.5, 0.9)))
    return Ici(float(gap.mean()), e50, e90, float(gap.max()))


def _local(x: NDArray, mean: NDArray, count: NDArray, at: float) -> float:
    """The quadratic fitted around `at` to distinct x [m], of `count` rows each, at that place.

    By least squares without normal equations, for the places where those are ill-conditioned.
    """
    distance = np.abs(x - at)
    order = np.argsort(distance, kind="stable")
    reached = np.searchsorted(np.cumsum(count[order]), int(count.sum() * SPAN + 1e-5))
    reach = distance[order[min(reached, x.size - 1)]]
    near = distance < reach
    if np.count_nonzero(near) < 3:  # ties fill the span: the nearest three decide
        near = order[:3]
        reach = distance[near].max() * 1.001
    z = (x[near] - at) / reach
    root = np.sqrt(count[near] * (1 - np.abs(z) ** 3) ** 3)
    design = np.stack([np.ones_like(z), z, z * z], axis=1)
    return float(np.linalg.lstsq(design * root[:, None], mean[near] * root, rcond=None)[0][0])
