"""Counts and ratios of yes-or-no answers, and what they would be at another prevalence."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit
from scipy.stats import norm

from eval.estimate import Estimate, undefined
from eval.inputs import labels, patient_codes
from eval.intervals import Method, design_effect, proportion

POINT = "no interval"


@dataclass(frozen=True)
class Decisions:
    """Counts of rows, and ratios in [0, 1] with intervals that know patients."""

    tp: int
    fp: int
    fn: int
    tn: int
    sensitivity: Estimate
    specificity: Estimate
    ppv: Estimate
    npv: Estimate
    accuracy: Estimate
    f1: Estimate
    balanced_accuracy: Estimate


def decisions(
    y: ArrayLike,
    flagged: ArrayLike,
    patients: ArrayLike | None = None,
    method: Method = "wilson",
    level: float = 0.95,
) -> Decisions:
    """Compare answers with labels; a ratio of nothing is undefined and says of what.

    Args:
        y: 0 or 1, [n].
        flagged: bool [n], the answer.
        patients: [n], who each row is of; without it every row is a patient.
        method: kind of binomial interval, on the effective sample size where patients repeat.
        level: two-sided confidence level.
    """
    sick = labels(y) == 1
    said = np.asarray(flagged, dtype=bool)
    code = patient_codes(patients, sick.size)

    def share(success: NDArray, of: NDArray, empty: str) -> Estimate:
        reason = empty if sick.size else "no rows"
        return proportion(success[of], code[of], reason, method, level)

    tp, fp = int((sick & said).sum()), int((~sick & said).sum())
    fn, tn = int((sick & ~said).sum()), int((~sick & ~said).sum())
    sensitivity = share(said, sick, "nobody is positive")
    specificity = share(~said, ~sick, "nobody is negative")
    missing = sensitivity.undefined or specificity.undefined
    values = (sensitivity.value or 0.0) + (specificity.value or 0.0)
    return Decisions(
        tp,
        fp,
        fn,
        tn,
        sensitivity,
        specificity,
        ppv=share(sick, said, "nobody was flagged"),
        npv=share(~sick, ~said, "everybody was flagged"),
        accuracy=share(sick == said, np.ones(sick.size, bool), "no rows"),
        f1=undefined(missing) if missing else _point(2 * tp / (2 * tp + fp + fn)),
        balanced_accuracy=undefined(missing) if missing else _point(values / 2),
    )


def _point(value: float) -> Estimate:
    return Estimate(value=value, method=POINT)


def predictive_values(
    y: ArrayLike,
    flagged: ArrayLike,
    prevalence: float,
    patients: ArrayLike | None = None,
    level: float = 0.95,
) -> tuple[Estimate, Estimate]:
    """PPV and NPV where `prevalence` of people are positive, by Bayes' rule.

    Intervals are those of the logits by the delta method (Mercaldo, Lau & Zhou, Stat Med 2007),
    on effective sample sizes where patients repeat; there is none at a sensitivity or specificity
    of 0 or 1.

    Raises:
        ValueError: the prevalence is not strictly between 0 and 1.
    """
    if not 0 < prevalence < 1:
        raise ValueError(f"prevalence {prevalence}: a share between 0 and 1, such as 0.1")
    sick = labels(y) == 1
    said = np.asarray(flagged, dtype=bool)
    if not sick.any() or sick.all():
        none = undefined("no rows" if not sick.size else "sensitivity or specificity is undefined")
        return none, none
    code = patient_codes(patients, sick.size)
    se, sp = float(said[sick].mean()), float((~said)[~sick].mean())
    n1 = sick.sum() / design_effect(said[sick], code[sick])
    n0 = (~sick).sum() / design_effect(said[~sick], code[~sick])
    right, wrong = se * prevalence, (1 - sp) * (1 - prevalence)
    missed, cleared = (1 - se) * prevalence, sp * (1 - prevalence)
    inside = 0 < se < 1 and 0 < sp < 1
    errors = (
        (
            math.sqrt((1 - se) / (se * n1) + sp / ((1 - sp) * n0)),
            math.sqrt(se / ((1 - se) * n1) + (1 - sp) / (sp * n0)),
        )
        if inside
        else (None, None)
    )
    z = float(norm.ppf(0.5 + level / 2))
    parts = ((right, wrong, "nobody was flagged"), (cleared, missed, "everybody was flagged"))
    ppv, npv = (
        _reweighted(good, bad, empty, error, z)
        for (good, bad, empty), error in zip(parts, errors, strict=True)
    )
    return ppv, npv


def _reweighted(good: float, bad: float, empty: str, error: float | None, z: float) -> Estimate:
    if good + bad == 0:
        return undefined(empty)
    value = good / (good + bad)
    if error is None:
        return Estimate(value=value, undefined="sensitivity or specificity is 0 or 1")
    low, high = expit(logit(value) - z * error), expit(logit(value) + z * error)
    return Estimate(value=value, low=float(low), high=float(high), method="logit, delta method")
