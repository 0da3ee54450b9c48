"""The group minus everybody else, with an interval and a test that know patients.

AUROC: DeLong, unpaired. Where patients have pictures on both sides (age and device change), that
test does not hold, and the standard error is that of the shared resamples. Sensitivity and
specificity: Wald's interval with one success and one failure added to each side (Agresti & Caffo,
Am Stat 2000), which covers where shares of a few patients near 1 leave the plain one too narrow; on
effective sample sizes where patients repeat, less the covariance of those on both sides.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from eval.delong import delong_unpaired
from eval.intervals import design_effect
from eval.performance import Cases, distinct, too_few
from eval.ranking import Ranking
from eval.subgroups.shapes import Gap, Tested

K = TypeVar("K", bound=Hashable)
Mask = NDArray[np.bool_]


def gap(cases: Cases, rows: Mask, least: int, least_of_class: int) -> Gap:
    """Set a group against the rest.

    Args:
        cases: the cohort, [n] rows.
        rows: bool [n], the group.
        least: patients of a class that a sensitivity or specificity is compared with, on each side.
        least_of_class: patients of each class that an AUROC is compared with, on each side.
    """
    sick = cases.label == 1
    return Gap(
        auroc=auroc_gap(cases, rows, least_of_class),
        sensitivity=share_gap(cases, rows, sick, cases.flagged, "with low bone mass", least),
        specificity=share_gap(cases, rows, ~sick, ~cases.flagged, "normal", least),
    )


def auroc_gap(cases: Cases, rows: Mask, least: int) -> Tested:
    """AUROC of the group minus that of the rest; undefined where a class has too few patients."""
    group, rest = cases.where(rows), cases.where(~rows)
    for side, name in ((group, "the group"), (rest, "the rest")):
        if reason := side.one_class or too_few(side, least):
            return Tested(undefined=f"{name}: {reason}")
    if distinct(cases.patient[rows]) + distinct(cases.patient[~rows]) > distinct(cases.patient):
        return _resampled(cases, rows)
    parts = (group.label, group.probability, rest.label, rest.probability)
    test = delong_unpaired(*parts, cases.confidence, group.patient, rest.patient)
    if test.p is None:
        return Tested(value=test.difference, undefined=test.undefined)
    method = "DeLong, unpaired"
    return Tested(value=test.difference, low=test.low, high=test.high, method=method, p=test.p)


def _resampled(cases: Cases, rows: Mask) -> Tested:
    """The standard error of the difference under the draws that both sides share."""
    orders = [Ranking.of(cases.label[r], cases.probability[r]) for r in (rows, ~rows)]
    value = orders[0].once()[0] - orders[1].once()[0]
    drawn = [
        order.statistics(cases.draws.counts, cases.patient[r], with_precision=False)[0]
        for order, r in zip(orders, (rows, ~rows), strict=True)
    ]
    differences = drawn[0] - drawn[1]
    kept = differences[~np.isnan(differences)]
    error = float(kept.std(ddof=1)) if kept.size > 1 else 0.0
    method = f"standard error of {kept.size} resamples of patients, some on both sides"
    return _wald(value, value, error, cases.confidence, method)


def share_gap(cases: Cases, rows: Mask, of: Mask, success: Mask, what: str, least: int) -> Tested:
    """The share of `of` that are `success`, in the group minus in the rest.

    Args:
        cases: the cohort, [n] rows.
        rows: bool [n], the group.
        of: bool [n], those the share is of; in words, `what`.
        success: bool [n].
        least: patients needed on each side.
    """
    if cases.threshold is None:
        return Tested(undefined="no threshold was frozen for this model")
    sides = rows & of, ~rows & of
    for side, name in zip(sides, ("the group", "the rest"), strict=True):
        if (found := distinct(cases.patient[side])) < least:
            return Tested(undefined=f"{name}: {found} patients {what}, fewer than {least}")
    repeated = distinct(cases.patient[of]) < np.count_nonzero(of)
    shares, centres, variance = [], [], 0.0
    for side in sides:
        hits = success[side]
        effect = design_effect(hits, cases.patient[side]) if repeated else 1.0
        n = hits.size / effect + 2
        centre = (hits.sum() / effect + 1) / n
        shares.append(float(hits.mean()))
        centres.append(float(centre))
        variance += float(centre * (1 - centre) / n)
    if repeated:
        variance -= 2 * _covariance(cases.patient, success, sides)
    method = "Wald, Agresti-Caffo" + (", clustered" if repeated else "")
    value, centre = shares[0] - shares[1], centres[0] - centres[1]
    return _wald(value, centre, math.sqrt(max(0.0, variance)), cases.confidence, method)


def _covariance(patient: NDArray[np.int64], success: Mask, sides: tuple[Mask, Mask]) -> float:
    """Of two shares some patients contribute to both of; linearised (Rao & Scott 1992)."""
    people = int(patient.max()) + 1
    parts = []
    for side in sides:
        apart = success[side] - success[side].mean()
        parts.append(np.bincount(patient[side], weights=apart, minlength=people) / apart.size)
    return float(parts[0] @ parts[1])


def _wald(value: float, centre: float, error: float, confidence: float, method: str) -> Tested:
    if error == 0:
        return Tested(value=value, undefined="the difference has no variance in this sample")
    half = float(norm.ppf(0.5 + confidence / 2)) * error
    low, high = max(-1.0, centre - half), min(1.0, centre + half)
    p = float(2 * norm.sf(abs(centre) / error))
    return Tested(value=value, low=min(low, value), high=max(high, value), method=method, p=p)


def corrected(tests: Mapping[K, float]) -> dict[K, tuple[float, float]]:
    """p values -> (Holm's, Bonferroni's), for as many as there are (Holm, Scand J Stat 1979)."""
    ordered = sorted(tests, key=lambda k: tests[k])
    out, highest = {}, 0.0
    for i, key in enumerate(ordered):
        highest = max(highest, min(1.0, tests[key] * (len(ordered) - i)))
        out[key] = highest, min(1.0, tests[key] * len(ordered))
    return out
