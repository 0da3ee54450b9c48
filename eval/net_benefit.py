"""The decision curve of one model on one cohort, for metrics.json."""

from __future__ import annotations

from data_sharding.schema import Strict
from eval.decision import net_benefit
from eval.estimate import Estimate
from eval.performance import Cases

#: Risks at which somebody might act: 0.01, 0.02, ... 0.99.
THRESHOLDS = tuple(i / 100 for i in range(1, 100))
METHOD = "mean over patients, normal"


class DecisionCurve(Strict):
    """Net benefit of acting at risk >= threshold; parallel tuples. Treating nobody is worth 0."""

    thresholds: tuple[float, ...] = ()
    net_benefit: tuple[Estimate, ...] = ()
    treat_all: tuple[float, ...] = ()
    undefined: str | None = None


def decision_curve(cases: Cases) -> DecisionCurve:
    """Net benefit at `THRESHOLDS` with intervals that know patients; undefined with one class."""
    if reason := cases.one_class:
        return DecisionCurve(undefined=reason)
    args = cases.label, cases.probability, THRESHOLDS, cases.patient, cases.confidence
    curve = net_benefit(*args)
    parts = (curve.net_benefit, curve.low, curve.high)
    return DecisionCurve(
        thresholds=tuple(curve.threshold.tolist()),
        net_benefit=tuple(
            Estimate(value=v, low=low, high=high, method=METHOD)
            if low == low  # NaN: no interval
            else Estimate(value=v, undefined="one patient is not enough for an interval")
            for v, low, high in zip(*(x.tolist() for x in parts), strict=True)
        ),
        treat_all=tuple(curve.treat_all.tolist()),
    )
