"""AUROC and average precision of one ranking under many sets of row weights, and their curves.

A bootstrap resample is a vector of whole-number weights, so the scores are sorted once and each
resample is two running sums: 1000 resamples of 3133 rows take about a tenth of a second in numpy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: Draws taken through the running sums at once: few enough to stay in the cache.
CHUNK = 50


@dataclass(frozen=True)
class Ranking:
    """Rows of two classes in order of score. Make it with `Ranking.of`.

    positives, negatives: int [P], [N], row numbers in ascending order of score.
    left, right: int [P], negatives with a lower, and a lower or equal, score than each positive.
    tied: int [P], the first positive with the same score as each positive.
    """

    positives: NDArray[np.int64]
    negatives: NDArray[np.int64]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    tied: NDArray[np.int64]

    @classmethod
    def of(cls, label: ArrayLike, score: ArrayLike) -> Ranking:
        """Sort rows by score.

        Args:
            label: 0 or 1, [n].
            score: finite float [n], higher for class 1.

        Raises:
            ValueError: a label is not 0 or 1, a score is not finite, or the lengths differ.
        """
        y, s = np.asarray(label), np.asarray(score, dtype=np.float64)
        if y.shape != s.shape or y.ndim != 1:
            raise ValueError(f"labels {y.shape} and scores {s.shape} must be equally long lists")
        if not np.isin(y, (0, 1)).all() or not np.isfinite(s).all():
            raise ValueError("labels must be 0 or 1 and scores finite: drop the other rows first")
        order = np.argsort(s, kind="stable")
        positives, negatives = order[y[order] == 1], order[y[order] == 0]
        above, below = s[positives], s[negatives]
        return cls(
            positives,
            negatives,
            np.searchsorted(below, above, "left"),
            np.searchsorted(below, above, "right"),
            np.searchsorted(above, above, "left"),
        )

    @property
    def two_classes(self) -> bool:
        """Whether AUROC is defined at all."""
        return self.positives.size > 0 and self.negatives.size > 0

    def statistics(
        self, counts: NDArray[np.integer], column: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """AUROC [draws] and average precision [draws]; NaN where a draw lacks a class.

        AUROC is the probability that a positive outranks a negative, ties counting half. Average
        precision is the step sum over distinct scores, not the trapezoid.

        Args:
            counts: int [draws, patients], how often each draw holds each patient.
            column: int [n], the patient of each row, as a column of `counts`.
        """
        auroc = np.full(len(counts), np.nan)
        precision = np.full(len(counts), np.nan)
        for start in range(0, len(counts), CHUNK):
            part = slice(start, start + CHUNK)
            auroc[part], precision[part] = self._chunk(counts[part], column)
        return auroc, precision

    def _chunk(
        self, counts: NDArray[np.integer], column: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        # weights: (draws, rows of one class by ascending score)
        w = np.take(counts, column[self.positives], axis=1).astype(np.float64)
        below = _running(np.take(counts, column[self.negatives], axis=1))
        positives, negatives = w.sum(axis=1), below[:, -1]
        lower = np.take(below, self.left, axis=1)
        ties = np.array_equal(self.left, self.right)
        lower_or_equal = lower if ties else np.take(below, self.right, axis=1)
        true = positives[:, None] - np.take(_running(w), self.tied, axis=1)
        false = negatives[:, None] - lower
        with np.errstate(divide="ignore", invalid="ignore"):
            auroc = np.einsum("dp,dp->d", w, lower + lower_or_equal) / (2 * positives * negatives)
            step = true / np.maximum(true + false, 1)
            precision = np.einsum("dp,dp->d", w, step) / positives
        precision[negatives == 0] = np.nan
        return auroc, precision


def _running(weights: NDArray) -> NDArray[np.float64]:
    """Sums of the first 0, 1, ..., n columns: [draws, n] -> [draws, n + 1]."""
    out = np.zeros((weights.shape[0], weights.shape[1] + 1))
    np.cumsum(weights, axis=1, out=out[:, 1:])
    return out


def roc_curve(label: ArrayLike, score: ArrayLike) -> tuple[NDArray, NDArray]:
    """False and true positive rate at every distinct score, from (0, 0) to (1, 1)."""
    true, false = _cumulative(label, score)
    return false / false[-1], true / true[-1]


def precision_recall_curve(label: ArrayLike, score: ArrayLike) -> tuple[NDArray, NDArray]:
    """Recall and precision at every distinct score, highest first, from recall 0; draw it as steps.

    Average precision is the area under ``step(where="pre")``.
    """
    true, false = _cumulative(label, score)
    precision = true[1:] / (true[1:] + false[1:])
    return true / true[-1], np.append(precision[0], precision)


def _cumulative(label: ArrayLike, score: ArrayLike) -> tuple[NDArray, NDArray]:
    """True and false positives when the rule is score >= each distinct value; 0 first."""
    y, s = np.asarray(label), np.asarray(score, dtype=np.float64)
    order = np.argsort(-s, kind="stable")
    last = np.append(np.flatnonzero(np.diff(s[order])), s.size - 1)  # last row of each tie
    true = np.cumsum(y[order])[last]
    return np.append(0, true).astype(float), np.append(0, last + 1 - true).astype(float)
