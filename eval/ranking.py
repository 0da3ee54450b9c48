"""AUROC and average precision of one ranking under many sets of row weights.

A bootstrap resample is a vector of whole-number weights, so the scores are sorted once and each
resample is one compiled pass over the sorted rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eval.inputs import labels, scores
from eval.kernels import weighted_ranking


@dataclass(frozen=True)
class Ranking:
    """Rows in descending order of score. Make it with `Ranking.of`.

    order: int [n], row numbers; sick: bool [n], rows of class 1 in that order; last: bool [n],
    whether the next row in that order has another score.
    """

    order: NDArray[np.int64]
    sick: NDArray[np.bool_]
    last: NDArray[np.bool_]

    @classmethod
    def of(cls, label: ArrayLike, score: ArrayLike) -> Ranking:
        """Sort rows by score.

        Args:
            label: 0 or 1, [n].
            score: finite float [n], higher for class 1.

        Raises:
            ValueError: a label is not 0 or 1, a score is not finite, or the lengths differ.
        """
        y = labels(label)
        s = scores(score, y.size)
        order = np.argsort(s, kind="stable")[::-1]
        return cls(order, y[order] == 1, np.append(np.diff(s[order]) != 0, True)[: y.size])

    @property
    def two_classes(self) -> bool:
        """Whether AUROC is defined at all."""
        return bool(self.sick.any() and not self.sick.all())

    def statistics(
        self,
        counts: NDArray[np.int16],
        column: NDArray[np.int64],
        with_precision: bool = True,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """AUROC [draws] and average precision [draws]; NaN where a draw lacks a class.

        AUROC is the probability that a positive outranks a negative, ties counting half. Average
        precision is the step sum over distinct scores, not the trapezoid.

        Args:
            counts: int16 [draws, patients], how often each draw holds each patient.
            column: int [n], the patient of each row, as a column of `counts`.
            with_precision: False leaves average precision out (NaN) and saves its divisions.
        """
        assert counts.dtype == np.int16
        sorted_column = np.asarray(column, dtype=np.int64)[self.order]
        return weighted_ranking(counts, sorted_column, self.sick, self.last, with_precision)

    def once(self) -> tuple[float, float]:
        """AUROC and average precision of the rows themselves."""
        everyone = np.ones((1, 1), np.int16), np.zeros(self.order.size, np.int64)
        auroc, precision = self.statistics(*everyone)
        return float(auroc[0]), float(precision[0])
