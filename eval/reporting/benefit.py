"""Decision curves in people: what acting at a threshold gains, and how far down it is worth it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from eval.cohort import ModelMetrics
from eval.estimate import Estimate

#: Risks of low bone mass at which a clinician might offer a DXA. At 0.10 nine scans that find
#: nothing are accepted for one that finds it, at 0.50 one. The range is a stated assumption.
SENSIBLE = (0.10, 0.50)
#: Where the table reads the curve.
SHOWN = (0.10, 0.20, 0.30, 0.40, 0.50)


@dataclass(frozen=True)
class Act:
    """At one threshold: net benefit of the model and of everybody, and scans spared, per 100.

    spared: scans fewer than everybody's for the same number found (Vickers & Elkin, 2006).
    """

    threshold: float
    accepted: float
    model: Estimate
    everybody: float
    spared: float | None


def acts(model: ModelMetrics) -> list[Act]:
    """The curve read at `SHOWN`; [] where there is no curve."""
    curve = model.decision
    points = {
        round(t, 6): (e, a)
        for t, e, a in zip(curve.thresholds, curve.net_benefit, curve.treat_all, strict=True)
    }
    return [_act(t, *points[t]) for t in SHOWN if t in points]


def _act(threshold: float, benefit: Estimate, everybody: float) -> Act:
    odds = threshold / (1 - threshold)
    gain = None if benefit.value is None else 100 * (benefit.value - everybody) / odds
    return Act(threshold, 1 / odds, benefit, everybody, gain)


def gains(models: Sequence[tuple[str, ModelMetrics]]) -> list[tuple[str, list[str]]]:
    """Where within `SENSIBLE` the models beat both simple policies: what is said, and of whom.

    Args:
        models: name to show, and the model; those without a curve are left out.
    """
    said: dict[str, list[str]] = {}
    for name, model in models:
        if model.decision.thresholds:
            said.setdefault(_where(model), []).append(name)
    return list(said.items())


def _where(model: ModelMetrics) -> str:
    curve, (low, high) = model.decision, SENSIBLE
    at = [i for i, t in enumerate(curve.thresholds) if low <= t <= high]
    better = [
        curve.thresholds[i]
        for i in at
        if (curve.net_benefit[i].value or 0.0) > max(0.0, curve.treat_all[i])
    ]
    if not better:
        return f"nowhere between {low:.2f} and {high:.2f}"
    if len(better) == len(at):
        return f"everywhere between {low:.2f} and {high:.2f}"
    if better == [t for t in curve.thresholds if better[0] <= t <= better[-1]]:
        return f"from {better[0]:.2f} to {better[-1]:.2f}"
    return f"at {len(better)} of {len(at)} thresholds between {low:.2f} and {high:.2f}"
