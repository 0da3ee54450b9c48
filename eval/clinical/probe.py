"""How much of an image model's AUROC is age, sex, body size, site or vendor?

    probe(rows_of_one_model, settings)

Four questions, none of which answers the others. What are the covariates worth alone? What does the
image score say of them? What is left of the score once what they predict of it is taken off? And
does it still rank people of the same sex and nearly the same age? Age is a cause of bone loss, so
that taking age off takes off bone, too: "residualised" and "matched" speak of somebody whose age
and sex are known already, and are no verdict on the whole AUROC.

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
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from eval.clinical.confounding import Against, Confounding, CovariateName
from eval.clinical.covariates import covariates, joint
from eval.clinical.matched import matched_auc
from eval.clinical.one_covariate import covariate_alone
from eval.clinical.plausible import blank
from eval.clinical.rows import FOLDS, NOBODY, Rows, normal_scores, scaled
from eval.clinical.scores import ost_risk
from eval.clinical.splines import linear, logistic, out_of_fold
from eval.estimate import Estimate, undefined
from eval.frames import Frame
from eval.inputs import lacking, patient_codes

#: The ages of a matched pair differ by this much at most.
YEARS = 2.0
#: Above this share of the score's variance, what the covariates leave is the splines' own error.
ALL_OF_IT = 0.99


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
        covariates=tuple(covariate_alone(rows, k) for k in known.values()),
        together=names,
        left_out=left_out,
        covariates_auroc=joined.covariates,
        explained=joined.explained,
        residualised=joined.residualised,
        matched=matched_auc(rows.label, rows.score, age, sex, rows.who, YEARS, rows.level),
        against=(*joined.against, _against_ost(rows, ost_risk(age, weight))),
    )


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
    inputs = {str(name): scaled(v) for name, v in values.items()}
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
