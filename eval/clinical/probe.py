"""How much of an image model's AUROC is age, sex, body size, site or vendor?

    probe(rows_of_one_model, settings)

Four questions, none of which answers the others. What are the covariates worth alone? What does the
image score say of them? What is left of the score once what they predict of it is taken off? And
does it still rank people of the same sex and nearly the same age? Age is a cause of bone loss, so
that a residual of age leaves out bone, too: "residualised" and "matched" bound from below what the
image adds for somebody whose age and sex are known, and are no verdict on the whole AUROC.

The score, age and BMI are replaced by normal scores of their ranks: no answer depends on a scale,
and a score that only rises with age is a straight line of it.
Intervals are DeLong's with components summed within patients, and take the out-of-fold fits as
given. Simulated, 200 to 300 samples a figure: the residualised and the matched AUROC of a score of
age and noise hold 0.5 in 95 and 93 of 100; the covariates' AUROC, where they are worth nothing,
holds 0.5 in only 83 to 90, and lies 0.01 to 0.02 low at n = 200 to 500. A fit with one idle column
more is a little worse out of fold, so that "image + covariates" against "covariates" errs towards
saying that the image adds nothing: wrongly that it adds in under 1 of 100, that it harms in 11 to
21.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, rankdata

from eval.clinical.confounding import Against, Confounding, Covariate, CovariateName, Told
from eval.clinical.covariates import Known, covariates, joint
from eval.clinical.folds import by_kind, patient_folds
from eval.clinical.matched import matched_auc
from eval.clinical.plausible import blank
from eval.clinical.scores import ost_risk
from eval.clinical.spearman import spearman
from eval.clinical.splines import linear, logistic, out_of_fold
from eval.delong import Test, delong_auc, delong_test
from eval.estimate import Estimate, undefined
from eval.frames import Frame
from eval.inputs import lacking, patient_codes

FOLDS = 5
#: The ages of a matched pair differ by this much at most.
YEARS = 2.0
#: Fewer patients with, or without, a positive label than this are not cross-fitted.
FEWEST = 10
#: A site or vendor with fewer rows is listed without a number.
FEWEST_ROWS = 10
#: Above this share of the score's variance, what the covariates leave is the splines' own error.
ALL_OF_IT = 0.99
DELONG = "DeLong, components summed within patients"
NOBODY = "nobody with a reference label in this group"


class Settings(Protocol):
    """What decides the numbers besides the rows."""

    @property
    def seed(self) -> int:
        """Decides the folds."""
        ...

    @property
    def confidence(self) -> float:
        """Two-sided level of the intervals."""
        ...


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


def probe(frame: Frame, settings: Settings) -> Confounding:
    """Everything the probe says of one model on one cohort.

    Args:
        frame: the rows of one model, as `schema.check_predictions` returns them; rows without a
            label are not used.
        settings: seed of the folds, level of the intervals.
    """
    frame = frame[frame["label"].notna()].sort_values(["patient", "key"])
    rows = Rows(
        frame["label"].to_numpy(np.int64),
        patient_codes(frame["patient"].to_numpy(str), len(frame)),
        normal_scores(frame["probability"].to_numpy(np.float64)),
        settings.confidence,
        settings.seed,
    )
    known = covariates(frame)
    names, left_out, complete = joint(known)
    joined = _joint({n: known[n].values[complete] for n in names}, rows.where(complete))
    age, sex = known["age"].values, known["sex"].values
    weight = blank("weight_kg", frame["weight_kg"].to_numpy(np.float64, na_value=np.nan))
    return Confounding(
        n=rows.label.size,
        patients=rows.patients,
        positives=int(rows.label.sum()),
        folds=FOLDS,
        image=rows.auroc(rows.score),
        covariates=tuple(_covariate(rows, k) for k in known.values()),
        together=names,
        left_out=left_out,
        covariates_auroc=joined.covariates,
        explained=joined.explained,
        residualised=joined.residualised,
        matched=matched_auc(rows.label, rows.score, age, sex, rows.who, YEARS, rows.level),
        against=(*joined.against, _against_ost(rows, ost_risk(age, weight))),
    )


def normal_scores(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Normal quantiles of the midranks, (r - 3/8) / (n + 1/4) by Blom, [n]."""
    return norm.ppf((rankdata(values) - 0.375) / (values.size + 0.25))


def _scaled(values: NDArray) -> NDArray:
    """Numbers as normal scores, levels as they are: [n]."""
    return normal_scores(values) if values.dtype.kind == "f" else values


@dataclass(frozen=True)
class _Joint:
    """What the covariates together say of the label and of the score."""

    covariates: Estimate
    explained: Estimate
    residualised: Estimate
    against: tuple[Against, Against]


def _joint(values: dict[CovariateName, NDArray], rows: Rows) -> _Joint:
    """Cross-fit the joint models on the rows that have all of `values` (name -> [n])."""
    named = ("image", "covariates"), ("image + covariates", "covariates")
    reason = rows.lacking if values else "no covariate is known"
    if reason:
        none = undefined(reason)
        contests = tuple(rows.no_contest(n, reason) for n in named)
        return _Joint(none, none, none, (contests[0], contests[1]))
    fold, label = rows.fold, rows.label.astype(np.float64)
    inputs = {str(name): _scaled(v) for name, v in values.items()}
    risk = out_of_fold(inputs, label, fold, logistic)
    with_image = out_of_fold({**inputs, "image": rows.score}, label, fold, logistic)
    left = rows.score - out_of_fold(inputs, rows.score, fold, linear)
    explained = _explained(rows, left)
    if explained.value is None:
        residualised = undefined(explained.undefined or "")
    elif explained.value > ALL_OF_IT:
        residualised = undefined(f"the covariates predict more than {ALL_OF_IT:.0%} of the score")
    else:
        residualised = rows.auroc(left)
    contests = rows.against(named[0], rows.score, risk), rows.against(named[1], with_image, risk)
    return _Joint(rows.auroc(risk), explained, residualised, contests)


def _explained(rows: Rows, left: NDArray[np.float64]) -> Estimate:
    """Share of the score's variance predicted out of fold; below 0 where the fit does harm."""
    around = (rows.score - rows.score.mean()) ** 2
    total = float(around.sum())
    if total <= 0:
        return undefined("the score is the same for everybody here")
    missed = left * left
    rest = float(missed.sum()) / total
    influence = np.bincount(rows.patient, weights=missed - rest * around) / total
    half = float(norm.ppf(0.5 + rows.level / 2)) * math.sqrt(float(influence @ influence))
    return Estimate(
        value=1 - rest,
        low=1 - rest - half,
        high=min(1.0, 1 - rest + half),
        method="delta method, summed within patients",
    )


def _against_ost(rows: Rows, risk: NDArray[np.float64]) -> Against:
    there = np.isfinite(risk)
    some = rows.where(there)
    if some.label.size == 0 and rows.label.size:
        return some.no_contest(("image", "OST"), "age and weight are not known of anybody here")
    if reason := NOBODY if rows.label.size == 0 else lacking(some.label):
        return some.no_contest(("image", "OST"), reason)
    return some.against(("image", "OST"), some.score, risk[there])


def _covariate(rows: Rows, known: Known) -> Covariate:
    there = known.there
    some, values = rows.where(there), known.values[there]
    reason = NOBODY if rows.label.size == 0 else known.lacking() or some.lacking
    if reason:
        auroc = undefined(reason)
    else:
        fitted = out_of_fold(
            {known.name: _scaled(values)}, some.label.astype(np.float64), some.fold, logistic
        )
        auroc = some.auroc(fitted)
    return Covariate(
        name=known.name,
        n=values.size,
        missing=rows.label.size - values.size,
        auroc=auroc,
        told=() if known.lacking() else _told(some, known, values),
    )


def _told(rows: Rows, known: Known, values: NDArray) -> tuple[Told, ...]:
    """What the score of `rows` [n] says of the covariate's `values` [n]."""
    well = rows.label == 0
    if known.numeric:
        overall, among = (
            spearman(v, r.score, r.who, r.level)
            for v, r in ((values, rows), (values[well], rows.where(well)))
        )
        return (Told(level="", measure="Spearman's rho", overall=overall, among_negatives=among),)
    levels = np.unique(values)
    if known.name == "sex":
        levels = np.array(["F"])
    elif levels.size == 2:
        levels = levels[:1]  # the other is its mirror image
    return tuple(
        Told(
            level=str(level),
            measure="AUROC",
            overall=_level(rows, values == level),
            among_negatives=_level(rows.where(well), (values == level)[well]),
        )
        for level in levels
    )


def _level(rows: Rows, here: NDArray[np.bool_]) -> Estimate:
    """AUROC of the score for being of a level, against the rest."""
    fewest = min(int(here.sum()), int((~here).sum()))
    if fewest < FEWEST_ROWS:
        return undefined(f"{fewest} rows on one side are too few")
    return Rows(here.astype(np.int64), rows.patient, rows.score, rows.level, rows.seed).auroc(
        rows.score
    )
