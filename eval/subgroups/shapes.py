"""Subgroups as metrics.json holds them."""

from __future__ import annotations

from dataclasses import dataclass

from data_sharding.schema import Strict
from eval.estimate import Estimate
from eval.performance import Performance


@dataclass(frozen=True, kw_only=True)
class Tested(Estimate):
    """A difference with its interval and two-sided p; p is None where there is no test.

    `p_holm` and `p_bonferroni` are corrected for `ModelMetrics.comparisons` of them.
    """

    p: float | None = None
    p_holm: float | None = None
    p_bonferroni: float | None = None


class Gap(Strict):
    """The group minus everybody else of the cohort, at the same frozen threshold."""

    auroc: Tested
    sensitivity: Tested
    specificity: Tested


class Subgroup(Strict):
    """Performance among the rows where `by` is `level`.

    - by: sex, age, severity, site, vendor, BMI, or two of them, as in "sex x age".
    - level: as in "women", "≥65" or, of two, "women, ≥65"; nobody has no cell of two.
    - performance: None where `suppressed` says why the group is kept back, its size too.
    - gap: None where the group is kept back, is empty, or is everybody.
    """

    by: str
    level: str
    performance: Performance | None
    gap: Gap | None = None
    suppressed: str | None = None


class SeverityBand(Strict):
    """One severity: how many were called rightly, and AUROC of this band against all normals.

    `n` and `patients` are None, and the estimates undefined, where `suppressed` says why.
    """

    level: str
    n: int | None
    patients: int | None
    accuracy: Estimate
    auroc_against_normal: Estimate
    suppressed: str | None = None
