"""Statistics of three classes on the rows as they are, and on resamples of their patients.

Patients are drawn, not rows, and all systems share the draws, so that their differences are paired.
Every draw holds each class that the cohort holds; how many had to be drawn again is counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eval.bootstrap import NOT_RESAMPLED, PatientDraws, of_sums, percentile
from eval.classes.shapes import NAMES
from eval.estimate import Estimate, undefined
from eval.inputs import patient_codes
from eval.kernels import any_of
from eval.multiclass import classes, kappas, quadratic
from eval.ranking import Ranking

K = len(NAMES)
CELLS = K * K
#: A statistic that this share of the resamples has not gets no interval.
RARELY = 0.9


@dataclass(frozen=True)
class Cases:
    """Rows with a category: `truth` [n], `patient` [n] as 0, 1, ...; `counts` [draws, patients].

    `counts` is None where `why` says what cannot be resampled.
    """

    truth: NDArray[np.int64]
    patient: NDArray[np.int64]
    counts: NDArray[np.int16] | None
    redrawn: int
    why: str
    level: float

    @classmethod
    def of(
        cls, truth: ArrayLike, patients: ArrayLike, draws: int, seed: int, level: float
    ) -> Cases:
        """Draw the patients of some rows.

        Raises:
            ValueError: a truth that is none of 0, 1, 2, or lists of different lengths.
        """
        n = np.asarray(truth).size
        category = classes(truth, np.full((n, K), 1 / K))[0]
        code = patient_codes(patients, n)
        present = [np.unique(code[category == c]) for c in range(K) if (category == c).any()]
        if not present or min(p.size for p in present) < 2:
            return cls(category, code, None, 0, NOT_RESAMPLED if n else "no rows", level)

        def holds(counts: NDArray[np.int16]) -> NDArray[np.float64]:
            every = np.logical_and.reduce([any_of(counts, p) for p in present])
            return np.where(every, 0.0, np.nan)

        found = PatientDraws.of(int(code.max()) + 1, draws, seed).until(holds)
        if found is None:
            return cls(category, code, None, 0, NOT_RESAMPLED, level)
        return cls(category, code, found[0], found[2], "", level)


@dataclass(frozen=True)
class Statistic:
    """A value, and its values on the resamples [draws]; NaN where it does not exist."""

    value: float
    draws: NDArray[np.float64] | None

    def estimate(self, cases: Cases, why: str = "") -> Estimate:
        """With its percentile interval.

        Args:
            cases: that it is of.
            why: there is no value, where there is none.
        """
        if np.isnan(self.value):
            return undefined(why or "undefined in these rows")
        if self.draws is None:
            return Estimate(value=self.value, undefined=cases.why)
        there = self.draws[~np.isnan(self.draws)]
        if there.size < RARELY * self.draws.size:
            lost = self.draws.size - there.size
            return Estimate(value=self.value, undefined=f"undefined in {lost} resamples")
        return percentile(self.value, there, cases.redrawn, cases.level)


def decided(cases: Cases, P: NDArray[np.float64], said: NDArray[np.int64]) -> dict[str, Statistic]:
    """What depends on the answers [n], and the ranked probability score of P [n, 3]."""
    values = marked(cases.truth, P, said)
    once = of_totals(values.sum(axis=0)[None])
    drawn = {} if cases.counts is None else _drawn(cases.counts, cases.patient, values)
    return {name: Statistic(float(v[0]), drawn.get(name)) for name, v in once.items()}


def marked(
    truth: NDArray[np.int64], P: NDArray[np.float64], said: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Of each row a 1 in its cell of the flattened confusion, and its score: [n, 10].

    Their sums over any rows are what `of_totals` makes statistics of.
    """
    values = np.zeros((truth.size, CELLS + 1))
    values[np.arange(truth.size), truth * K + said] = 1
    values[:, CELLS] = rps(truth, P)
    return values


def ranked(cases: Cases, P: NDArray[np.float64]) -> dict[str, Statistic]:
    """AUROC of each class against the others, their mean, and the ordinal c."""
    found = {f"auroc_{c}": _against(cases, np.arange(K) == c, P[:, c]) for c in range(K)}
    each = [found[f"auroc_{c}"] for c in range(K)]
    found["auroc_ovr"] = _mean(each)
    expected = P @ np.arange(K)
    # Of classes i < j: how often somebody of j is placed above somebody of i (Van Calster et al.,
    # Eur J Epidemiol 2012); the mean over pairs does not depend on how common each class is.
    pairs = [_pair(cases, i, j, expected) for i, j in combinations(range(K), 2)]
    return found | {"c_ordinal": _mean(pairs)}


def rps(truth: NDArray[np.int64], P: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranked probability score of each row [n], divided by k - 1: in [0, 1], 0 is best.

    Mean over the cuts between neighbouring classes of the squared error of the cumulative
    probability (Epstein, J Appl Meteorol 1969), so that two classes off costs more than one.
    """
    k = P.shape[1]
    below = (truth[:, None] <= np.arange(k - 1)).astype(float)
    return ((P.cumsum(axis=1)[:, :-1] - below) ** 2).sum(axis=1) / (k - 1)


def _drawn(
    counts: NDArray[np.int16], patient: NDArray[np.int64], values: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    return of_totals(of_sums(counts, patient, values, lambda sums: sums))


def of_totals(sums: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Statistics [tables] of sums of `marked` rows [tables, 10]; NaN where undefined."""
    cells, score = sums[:, :CELLS], sums[:, CELLS]
    tables = cells.reshape(-1, K, K)
    right, seen, given = np.einsum("tii->ti", tables), tables.sum(axis=2), tables.sum(axis=1)
    n = seen.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        precision, recall = right / given, right / seen
        f1 = 2 * right / (seen + given)
        weight = seen / n[:, None]
        each = {
            f"{name}_{c}": values[:, c]
            for name, values in (("precision", precision), ("recall", recall), ("f1", f1))
            for c in range(K)
        }
        # a class without rows has no part in a weighted mean
        return each | {
            "accuracy": right.sum(axis=1) / n,
            "balanced_accuracy": recall.mean(axis=1),
            "precision_macro": precision.mean(axis=1),
            "f1_macro": f1.mean(axis=1),
            "precision_weighted": np.where(seen > 0, weight * precision, 0).sum(axis=1),
            "f1_weighted": np.where(seen > 0, weight * f1, 0).sum(axis=1),
            "kappa": kappas(cells, np.eye(K)),
            "kappa_quadratic": kappas(cells, quadratic(K)),
            "rps": score / n,
        }


def _against(cases: Cases, positive: NDArray[np.bool_], score: NDArray) -> Statistic:
    """AUROC of the rows whose class is `positive` [3] against the others."""
    order = Ranking.of(positive[cases.truth], score)
    if cases.counts is None:
        return Statistic(order.once()[0], None)
    drawn = order.statistics(cases.counts, cases.patient, with_precision=False)[0]
    return Statistic(order.once()[0], drawn)


def _pair(cases: Cases, i: int, j: int, score: NDArray[np.float64]) -> Statistic:
    """AUROC of class j against class i alone."""
    rows = (cases.truth == i) | (cases.truth == j)
    order = Ranking.of(cases.truth[rows] == j, score[rows])
    if cases.counts is None:
        return Statistic(order.once()[0], None)
    drawn = order.statistics(cases.counts, cases.patient[rows], with_precision=False)[0]
    return Statistic(order.once()[0], drawn)


def _mean(parts: list[Statistic]) -> Statistic:
    value = float(np.mean([s.value for s in parts]))
    drawn = [s.draws for s in parts if s.draws is not None]
    return Statistic(value, np.mean(drawn, axis=0) if len(drawn) == len(parts) else None)
