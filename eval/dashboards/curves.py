"""Curves of one model on one cohort, with nobody's score in them: read off at fixed places.

A ROC curve at every score has a point for every patient. At a hundred fixed rates it shows the same
and nobody. Bins of fewer than `least` patients are left out, and those they could be told from.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from eval.calibration import bin_of
from eval.curves import pr, roc
from eval.reliability import BINS, Bin
from eval.subgroups.suppression import hidden

POINTS = 101
Point = tuple[float | None, ...]


def roc_points(label: NDArray, score: NDArray) -> list[Point]:
    """(fpr, tpr) at `POINTS` rates: the sensitivity that costs no more than that rate."""
    curve = roc(label, score)
    grid = np.linspace(0, 1, POINTS)
    at = np.searchsorted(curve.fpr, grid + 1e-12, side="right") - 1
    return [(float(x), float(curve.tpr[i])) for x, i in zip(grid, at, strict=True)]


def pr_points(label: NDArray, score: NDArray) -> list[Point]:
    """(recall, precision) at ``POINTS - 1`` recalls: the precision where it is first reached."""
    curve = pr(label, score)
    grid = np.linspace(0, 1, POINTS)[1:]
    at = np.minimum(np.searchsorted(curve.recall, grid - 1e-12), curve.recall.size - 1)
    return [(float(x), float(curve.precision[i])) for x, i in zip(grid, at, strict=True)]


def calibration_points(
    bins: tuple[Bin, ...], probability: NDArray, patient: NDArray, least: int
) -> tuple[list[Point], int]:
    """(mean predicted, observed, low, high) of the bins that may be shown, and how many may not.

    Args:
        bins: of these predictions.
        probability: [n], of the labelled rows.
        patient: [n], who each is of.
        least: patients of a bin that may be shown.
    """
    away = _hidden(bin_of(probability, BINS), patient, least)
    shown = [b for i, b in enumerate(bins) if b.n and i not in away]
    points = [(b.mean_predicted, b.observed.value, b.observed.low, b.observed.high) for b in shown]
    return points, len(away)


def score_points(probability: NDArray, patient: NDArray, least: int) -> tuple[list[Point], int]:
    """(low, high, share of the pictures) of the tenths that may be shown; arguments as above."""
    tenth = np.minimum((probability * 10).astype(int), 9)
    away = _hidden(tenth, patient, least)
    counted = np.bincount(tenth, minlength=10) / tenth.size
    points = [(i / 10, (i + 1) / 10, float(counted[i])) for i in range(10) if i not in away]
    return list(points), len(away)


def _hidden(place: NDArray, patient: NDArray, least: int) -> frozenset[int]:
    """Places of too few patients, and those they could be told from."""
    sizes = {i: np.unique(patient[place == i]).size for i in range(10)}
    return hidden(sizes, least)
