"""What one model is worth on one set of rows: ranking, decisions at the frozen threshold, Brier.

The rule is ``probability >= threshold``; the threshold was frozen on the tuning split before these
rows were seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_sharding.schema import Strict
from eval.bootstrap import NOT_RESAMPLED, PatientDraws, of_sums, percentile
from eval.calibration import brier
from eval.decisions import Decisions, decisions
from eval.estimate import Estimate, undefined
from eval.intervals import Method, proportion
from eval.ranking import Ranking

#: Why a ratio does not exist, as `decisions` says it and as a report on bones does.
WORDS = {
    "no rows": "nobody with a reference label in this group",
    "nobody is positive": "nobody here has low bone mass",
    "nobody is negative": "nobody here is normal",
}


@dataclass(frozen=True)
class Cases:
    """Labelled rows of one model: parallel arrays [n], and the draws their patients are part of.

    patient: int, column of ``draws.counts``; label: 0 or 1; probability: of class 1, in [0, 1].
    """

    patient: NDArray[np.int64]
    label: NDArray[np.int64]
    probability: NDArray[np.float64]
    threshold: float | None
    draws: PatientDraws
    method: Method = "wilson"
    confidence: float = 0.95

    def where(self, rows: NDArray[np.bool_]) -> Cases:
        """The rows where the mask [n] is true."""
        parts = self.patient[rows], self.label[rows], self.probability[rows]
        return Cases(*parts, self.threshold, self.draws, self.method, self.confidence)

    @property
    def flagged(self) -> NDArray[np.bool_]:
        """Bool [n]: said to have low bone mass; everything False without a threshold."""
        return self.probability >= (np.inf if self.threshold is None else self.threshold)

    @property
    def one_class(self) -> str | None:
        """Why a ranking is undefined here, if it is."""
        if self.label.size == 0:
            return "nobody with a reference label in this group"
        if self.label.all():
            return f"one class only: all {self.label.size} have low bone mass"
        return None if self.label.any() else f"one class only: all {self.label.size} are normal"


class Confusion(Strict):
    """Counts of rows; positive means low bone mass."""

    tp: int
    fp: int
    fn: int
    tn: int


class Performance(Strict):
    """Everything reported about one model on one group. Ratios are in [0, 1]."""

    n: int
    patients: int
    positives: int
    negatives: int
    prevalence: Estimate
    auroc: Estimate
    average_precision: Estimate
    confusion: Confusion | None
    sensitivity: Estimate
    specificity: Estimate
    ppv: Estimate
    npv: Estimate
    accuracy: Estimate
    f1: Estimate
    brier_binary: Estimate


def performance(cases: Cases) -> Performance:
    """Compute all of it; what cannot be computed is undefined with a reason."""
    auroc, precision = ranking(cases)
    n, positives = cases.label.size, int(cases.label.sum())
    return Performance(
        n=n,
        patients=np.unique(cases.patient).size,
        positives=positives,
        negatives=n - positives,
        prevalence=share(cases, cases.label == 1, np.ones(n, bool), "nobody with a label"),
        auroc=auroc,
        average_precision=precision,
        **_decisions(cases),
        brier_binary=_brier(cases),
    )


def ranking(cases: Cases) -> tuple[Estimate, Estimate]:
    """AUROC and average precision (step sum) with intervals from resampled patients."""
    if reason := cases.one_class:
        return undefined(reason), undefined(reason)
    order = Ranking.of(cases.label, cases.probability)
    values = order.once()
    resampled = cases.draws.both_classes(*_by_class(cases))
    if resampled is None:
        rare = NOT_RESAMPLED
        return Estimate(value=values[0], undefined=rare), Estimate(value=values[1], undefined=rare)
    counts, redrawn = resampled
    draws = order.statistics(counts, cases.patient)
    a, b = (percentile(values[i], draws[i], redrawn, cases.confidence) for i in (0, 1))
    return a, b


def share(cases: Cases, success: NDArray[np.bool_], of: NDArray[np.bool_], empty: str) -> Estimate:
    """The share of the rows `of` [n] that are `success` [n]; `empty` says why if there are none."""
    return proportion(success[of], cases.patient[of], empty, cases.method, cases.confidence)


def _by_class(cases: Cases) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return cases.patient[cases.label == 1], cases.patient[cases.label == 0]


def _decisions(cases: Cases) -> dict[str, Any]:
    """Confusion counts and the ratios of them."""
    names = ("sensitivity", "specificity", "ppv", "npv", "accuracy", "f1")
    if cases.threshold is None:
        missing = undefined("no threshold was frozen for this model")
        return {"confusion": None, **dict.fromkeys(names, missing)}
    d = decisions(cases.label, cases.flagged, cases.patient, cases.method, cases.confidence)
    ratios = {name: _in_words(getattr(d, name)) for name in names[:-1]}
    confusion = Confusion(tp=d.tp, fp=d.fp, fn=d.fn, tn=d.tn)
    return {"confusion": confusion, **ratios, "f1": _f1(cases, d)}


def _in_words(e: Estimate) -> Estimate:
    """The same, its reason in the words of this field."""
    return e if e.undefined is None else undefined(WORDS.get(e.undefined, e.undefined))


def _f1(cases: Cases, d: Decisions) -> Estimate:
    """2 TP / (2 TP + FP + FN), interval from resampled patients."""
    if reason := cases.one_class:
        return undefined(reason)
    sick, flagged = cases.label == 1, cases.flagged
    # sums: (true positives, positives + flagged)
    values = np.stack([sick & flagged, sick.astype(int) + flagged], axis=1).astype(float)
    value = float(d.f1)
    resampled = cases.draws.both_classes(*_by_class(cases))
    if resampled is None:
        return Estimate(value=value, undefined=NOT_RESAMPLED)
    counts, redrawn = resampled
    draws = of_sums(counts, cases.patient, values, lambda s: 2 * s[:, 0] / s[:, 1])
    return percentile(value, draws, redrawn, cases.confidence)


def _brier(cases: Cases) -> Estimate:
    """Mean of (p - y)^2 for class 1 alone: half of the two-class sum that some papers print."""
    if cases.label.size == 0:
        return undefined("nobody with a reference label in this group")
    value = float(brier(cases.label, cases.probability))
    error = (cases.probability - cases.label) ** 2
    values = np.stack([error, np.ones_like(error)], axis=1)
    draws = of_sums(cases.draws.counts, cases.patient, values, lambda s: s[:, 0] / s[:, 1])
    return percentile(value, draws, 0, cases.confidence)
