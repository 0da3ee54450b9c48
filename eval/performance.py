"""What one model is worth on one set of rows: ranking, decisions at the frozen threshold, Brier.

The rule is ``probability >= threshold``; the threshold was frozen on the tuning split before these
rows were seen.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_sharding.schema import Strict
from eval.bootstrap import PatientDraws, of_sums, percentile
from eval.decisions import decisions
from eval.estimate import Estimate, undefined
from eval.intervals import Method, proportion
from eval.resampled_ratios import bootstrap_metrics

NOBODY = "nobody with a reference label in this group"
#: Why a ratio does not exist, as `decisions` says it and as a report on people does.
WORDS = {
    "no rows": NOBODY,
    "nobody is positive": "nobody here has a positive label",
    "nobody is negative": "nobody here has a negative label",
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

    def compact(self) -> Cases:
        """The same with draws of these patients alone, which a small group is faster through."""
        here = np.bincount(self.patient, minlength=self.draws.counts.shape[1]) > 0
        patients = np.flatnonzero(here)
        draws = PatientDraws(np.take(self.draws.counts, patients, axis=1), self.draws.seed)
        return replace(self, patient=(np.cumsum(here) - 1)[self.patient], draws=draws)

    @property
    def flagged(self) -> NDArray[np.bool_]:
        """Bool [n]: said to be positive; everything False without a threshold."""
        return self.probability >= (np.inf if self.threshold is None else self.threshold)

    @property
    def one_class(self) -> str | None:
        """Why a ranking is undefined here, if it is."""
        if self.label.size == 0:
            return NOBODY
        if self.label.all():
            return f"one class only: all {self.label.size} are positive"
        return None if self.label.any() else f"one class only: all {self.label.size} are negative"


class Confusion(Strict):
    """Counts of rows; what positive means is `eval.learnt`'s to say."""

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
    balanced_accuracy: Estimate
    youden: Estimate
    f1: Estimate
    mcc: Estimate
    brier_binary: Estimate


def performance(cases: Cases, least: int = 0) -> Performance:
    """Compute all of it; what cannot be computed is undefined with a reason.

    Proportions have the intervals that `Cases.method` names, the others come of resampled patients.

    Args:
        cases: the rows.
        least: patients of each class without which a ranking is not stated.
    """
    n, positives = cases.label.size, int(cases.label.sum())
    drawn = resampled(cases, least)
    return Performance(
        n=n,
        patients=distinct(cases.patient),
        positives=positives,
        negatives=n - positives,
        prevalence=share(cases, cases.label == 1, np.ones(n, bool), "nobody with a label"),
        auroc=drawn["auroc"],
        average_precision=drawn["average_precision"],
        brier_binary=drawn["brier_binary"],
        **_decisions(cases, drawn),
    )


def resampled(cases: Cases, least: int = 0) -> dict[str, Estimate]:
    """`resampled_ratios.METRICS` with intervals from resampled patients; arguments as above."""
    label, risk = cases.label, cases.probability
    at = np.inf if cases.threshold is None else cases.threshold
    args = label, risk, at, cases.draws, cases.patient, cases.confidence
    found = bootstrap_metrics(*args)
    if reason := cases.one_class:
        found = dict.fromkeys(found, undefined(reason))
        return found | ({"brier_binary": _one_sided_brier(cases)} if label.size else {})
    if reason := too_few(cases, least):
        return found | dict.fromkeys(("auroc", "average_precision"), undefined(reason))
    return found


def too_few(cases: Cases, least: int) -> str | None:
    """Why a ranking is not stated of fewer than `least` patients of a class, if so."""
    sick = cases.label == 1
    found = [distinct(cases.patient[rows]) for rows in (sick, ~sick)]
    if min(found) >= least:
        return None
    kinds = f"{found[0]} patients with a positive and {found[1]} with a negative label"
    return f"{kinds}: fewer than {least}"


def distinct(patient: NDArray[np.int64]) -> int:
    """How many patients these codes [n], small numbers, are of."""
    return int(np.count_nonzero(np.bincount(patient)))


def share(cases: Cases, success: NDArray[np.bool_], of: NDArray[np.bool_], empty: str) -> Estimate:
    """The share of the rows `of` [n] that are `success` [n]; `empty` says why if there are none."""
    return proportion(success[of], cases.patient[of], empty, cases.method, cases.confidence)


def _decisions(cases: Cases, drawn: dict[str, Estimate]) -> dict[str, Any]:
    """Confusion counts and the ratios of them."""
    shares = ("sensitivity", "specificity", "ppv", "npv", "accuracy")
    others = ("balanced_accuracy", "youden", "f1", "mcc")
    if cases.threshold is None:
        missing = undefined("no threshold was frozen for this model")
        return {"confusion": None, **dict.fromkeys((*shares, *others), missing)}
    d = decisions(cases.label, cases.flagged, cases.patient, cases.method, cases.confidence)
    return {
        "confusion": Confusion(tp=d.tp, fp=d.fp, fn=d.fn, tn=d.tn),
        **{name: _in_words(getattr(d, name)) for name in shares},
        **{name: drawn[name] for name in others},
    }


def _in_words(e: Estimate) -> Estimate:
    """The same, its reason in the words of this field."""
    return e if e.undefined is None else undefined(WORDS.get(e.undefined, e.undefined))


def _one_sided_brier(cases: Cases) -> Estimate:
    """Mean of (p - y)^2 where all have one label, which no ratio of two classes can be made of."""
    error = (cases.probability - cases.label) ** 2
    values = np.stack([error, np.ones_like(error)], axis=1)
    draws = of_sums(cases.draws.counts, cases.patient, values, lambda s: s[:, 0] / s[:, 1])
    kept = draws[~np.isnan(draws)]
    return percentile(float(error.mean()), kept, 0, cases.confidence)
