"""From metrics and predictions to the figures of the report: what to draw, not how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from eval import plots
from eval.cohort import Metrics, ModelMetrics
from eval.curves import pr, roc
from eval.estimate import Estimate
from eval.frames import Frame
from eval.learnt import POSITIVE
from eval.reporting.benefit import SENSIBLE
from eval.runs import MODELS, Run


@dataclass(frozen=True)
class Figures:
    """SVG texts of one cohort; None where there is nothing to draw, with `why`.

    fractures: model -> its figure.
    """

    roc: str | None
    precision_recall: str | None
    reliability: str | None
    decision: str | None
    severity: str | None
    fractures: dict[str, str]
    why: str


def cohort_figures(metrics: Metrics, frame: Frame, positive: str = POSITIVE) -> Figures:
    """Draw one cohort.

    Args:
        metrics: of the cohort.
        frame: its predictions.
        positive: what the run learnt to find.
    """
    name = metrics.cohort
    ranked = [m for m in metrics.models if m.overall.auroc.value is not None]
    bins = {m.model: m.calibration.bins for m in ranked}
    reasons = [m.overall.auroc.undefined for m in metrics.models if m.overall.auroc.value is None]
    receiver, precision_recall = _ranking(metrics, frame[frame["label"].notna()])
    return Figures(
        roc=receiver,
        precision_recall=precision_recall,
        reliability=plots.reliability(bins, f"reliability {name}", positive) if bins else None,
        decision=_decision(metrics),
        severity=_severity(metrics),
        fractures=_fractures(metrics),
        why=reasons[0] or "" if reasons else "no predictions",
    )


def _ranking(metrics: Metrics, labelled: Frame) -> tuple[str | None, str | None]:
    """The ROC and the precision-recall figure."""
    receivers, steps, dots, points = {}, {}, {}, {}
    prevalence = 0.0
    for m in metrics.models:
        o = m.overall
        if o.auroc.value is None:
            continue
        rows = labelled[labelled["model"] == m.model]
        label, score = rows["label"].to_numpy(int), rows["probability"].to_numpy(float)
        curve, step = roc(label, score), pr(label, score)
        receivers[m.model] = curve.fpr, curve.tpr
        first = np.append(step.precision[0], step.precision)
        steps[m.model] = np.append(0, step.recall), first
        prevalence = o.prevalence.value or 0.0
        if o.specificity.value is not None and o.sensitivity.value is not None:
            dots[m.model] = 1 - o.specificity.value, o.sensitivity.value
        if o.sensitivity.value is not None and o.ppv.value is not None:
            points[m.model] = o.sensitivity.value, o.ppv.value
    if not receivers:
        return None, None
    name = metrics.cohort
    return (
        plots.roc(receivers, dots, f"roc {name}"),
        plots.precision_recall(steps, points, prevalence, f"pr {name}"),
    )


def _decision(metrics: Metrics) -> str | None:
    models = [m for m in metrics.models if not m.decision.undefined and m.decision.thresholds]
    if not models:
        return None
    first = models[0]
    shown = sum(t <= _end(first) for t in first.decision.thresholds)
    curves = {
        m.model: (m.decision.thresholds[:shown], m.decision.net_benefit[:shown]) for m in models
    }
    everybody = first.decision.thresholds[:shown], first.decision.treat_all[:shown]
    prevalence = first.overall.prevalence.value or 0.0
    name = f"decision {metrics.cohort}"
    banded = "student" if "student" in curves else first.model
    return plots.decision_curves(curves, everybody, SENSIBLE, prevalence, banded, name)


def _end(model: ModelMetrics) -> float:
    """Where the axis ends: a little beyond both the sensible thresholds and the prevalence."""
    return min(0.95, max(SENSIBLE[1], model.overall.prevalence.value or 0.0) + 0.15)


def _severity(metrics: Metrics) -> str | None:
    models = [m for m in metrics.models if any(b.accuracy.value is not None for b in m.severities)]
    if not models:
        return None
    bands = [b.level if b.n is None else f"{b.level}\nn = {b.n:,}" for b in models[0].severities]
    flagged = {m.model: [_flagged(b) for b in m.severities] for m in models}
    return plots.severity(bands, flagged, f"severity {metrics.cohort}")


def _flagged(band: Any) -> Estimate:
    """The share flagged: of the normal, whom a right call leaves alone, the complement."""
    e = band.accuracy
    if band.level != "normal" or e.value is None:
        return e
    low, high = (None if v is None else 1 - v for v in (e.high, e.low))
    return Estimate(value=1 - e.value, low=low, high=high, method=e.method)


def _fractures(metrics: Metrics) -> dict[str, str]:
    drawn = {}
    for m in metrics.models:
        if m.fracture is not None and m.fracture.curves:
            name = f"fractures {metrics.cohort} {m.model}"
            drawn[m.model] = plots.fracture_free(m.fracture.days, m.fracture.curves, name)
    return drawn


def training_figures(run: Run) -> list[str]:
    """Loss and tuning AUROC of the models that were trained here, as far as they are on file."""
    drawn = []
    for quantity, title in (("train/loss", "training loss"), ("tune/auroc", "tuning AUROC")):
        lines: dict[str, tuple[list[float], list[float]]] = {}
        for model in MODELS:
            points = [
                (float(line["step"]), float(line[quantity]))
                for line in run.curve(model)
                if _is_number(line.get("step")) and _is_number(line.get(quantity))
            ]
            if points:
                steps, values = zip(*points, strict=True)
                lines[model] = (list(steps), list(values))
        if lines:
            drawn.append(plots.training_curves(title, lines, f"training {quantity}"))
    return drawn


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value
