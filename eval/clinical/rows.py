"""Labelled rows of one model: their AUROCs, their folds, and why these may not exist."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, rankdata

from eval.clinical.confounding import Against
from eval.clinical.folds import by_kind, patient_folds
from eval.delong import Test, delong_auc, delong_test
from eval.estimate import Estimate, undefined
from eval.inputs import lacking

FOLDS = 5
#: Fewer patients with, or without, a positive label than this are not cross-fitted.
FEWEST = 10
DELONG = "DeLong, components summed within patients"
NOBODY = "nobody with a reference label in this group"


@dataclass(frozen=True)
class Rows:
    """Labelled rows of one model as parallel arrays [n]; `score` are normal scores of the ranks."""

    label: NDArray[np.int64]
    patient: NDArray[np.int64]
    score: NDArray[np.float64]
    level: float
    seed: int

    def where(self, mask: NDArray[np.bool_]) -> Rows:
        """The rows where the mask [n] is true."""
        if mask.all():
            return self
        parts = self.label[mask], self.patient[mask], self.score[mask]
        return Rows(*parts, self.level, self.seed)

    @cached_property
    def who(self) -> NDArray[np.int64] | None:
        """The patient of each row [n]; None where each has one row, which is quicker."""
        return None if np.bincount(self.patient).max(initial=0) <= 1 else self.patient

    @property
    def patients(self) -> int:
        """How many there are."""
        return int(np.count_nonzero(np.bincount(self.patient)))

    @cached_property
    def lacking(self) -> str | None:
        """Why nothing can be cross-fitted to these rows, if so."""
        if self.label.size == 0:
            return NOBODY
        if reason := lacking(self.label):
            return reason
        without, sick = by_kind(self.patient, self.label)
        if min(without.size, sick.size) < FEWEST:
            return (
                f"{sick.size} patients with and {without.size} without a positive label: fewer "
                f"than {FEWEST} of a kind cannot be cross-fitted"
            )
        return None

    @cached_property
    def fold(self) -> NDArray[np.int64]:
        """The fold of each row [n]."""
        return patient_folds(self.patient, self.label, FOLDS, self.seed)

    def auroc(self, score: NDArray[np.float64]) -> Estimate:
        """AUROC of `score` [n] with its interval."""
        if self.label.size == 0:
            return undefined(NOBODY)
        found = delong_auc(self.label, score, self.level, self.who)
        if found.auc is None:
            return undefined(found.undefined or "")
        if found.note:
            return Estimate(value=found.auc, undefined=found.note)
        if found.undefined:
            return Estimate(value=found.auc, undefined=found.undefined)
        return Estimate(value=found.auc, low=found.low, high=found.high, method=DELONG)

    def against(
        self, names: tuple[str, str], first: NDArray[np.float64], second: NDArray[np.float64]
    ) -> Against:
        """AUROCs of two scores [n] and their difference."""
        test = delong_test(self.label, first, second, self.level, self.who)
        return self._against(names, self.auroc(first), self.auroc(second), test)

    def no_contest(self, names: tuple[str, str], reason: str) -> Against:
        """The comparison that cannot be made, and why."""
        none = undefined(reason)
        return self._against(names, none, none, Test(undefined=reason))

    def _against(
        self, names: tuple[str, str], first: Estimate, second: Estimate, test: Test
    ) -> Against:
        difference = Estimate(
            value=test.difference,
            low=test.low,
            high=test.high,
            method="" if test.undefined else DELONG,
            undefined=test.undefined,
        )
        return Against(
            first=names[0],
            second=names[1],
            n=self.label.size,
            patients=self.patients,
            positives=int(self.label.sum()),
            first_auroc=first,
            second_auroc=second,
            difference=difference,
            z=test.z,
            p=test.p,
        )


def normal_scores(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Normal quantiles of the midranks, (r - 3/8) / (n + 1/4) by Blom, [n]."""
    return norm.ppf((rankdata(values) - 0.375) / (values.size + 0.25))


def scaled(values: NDArray) -> NDArray:
    """Numbers as normal scores, levels as they are: [n]."""
    return normal_scores(values) if values.dtype.kind == "f" else values
