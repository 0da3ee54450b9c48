"""From metrics and predictions to the figures of the report: what to draw, not how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from eval import plots
from eval.cohort import Metrics
from eval.curves import pr, roc
from eval.frames import Frame
from eval.runs import MODELS, Run


@dataclass(frozen=True)
class Figures:
    """SVG texts of one cohort; None where there is nothing to draw, with `why`."""

    curves: str | None
    subgroups: str | None
    severities: str | None
    confusion: str | None
    reliability: str | None
    why: str


def cohort_figures(metrics: Metrics, frame: Frame) -> Figures:
    """Draw one cohort.

    Args:
        metrics: of the cohort.
        frame: its predictions.
    """
    name = metrics.cohort
    labelled = frame[frame["label"].notna()]
    models = [m for m in metrics.models if m.overall.n]
    matrices = {m.model: m.overall.confusion for m in models if m.overall.confusion}
    bins = {m.model: m.calibration.bins for m in models}
    reasons = [m.overall.auroc.undefined for m in metrics.models if m.overall.auroc.value is None]
    return Figures(
        curves=_curves(metrics, labelled),
        subgroups=_subgroups(metrics) if models else None,
        severities=_severities(metrics),
        confusion=plots.confusion(matrices, f"confusion {name}") if matrices else None,
        reliability=plots.reliability(bins, f"reliability {name}") if bins else None,
        why=reasons[0] or "" if reasons else "no predictions",
    )


def _curves(metrics: Metrics, labelled: Frame) -> str | None:
    receivers, precision_recall, points = {}, {}, {}
    prevalence = 0.0
    for m in metrics.models:
        if m.overall.auroc.value is None:
            continue
        rows = labelled[labelled["model"] == m.model]
        label, score = rows["label"].to_numpy(int), rows["probability"].to_numpy(float)
        receiver, steps = roc(label, score), pr(label, score)
        receivers[m.model] = receiver.fpr, receiver.tpr
        precision_recall[m.model] = (
            np.append(0, steps.recall),
            np.append(steps.precision[0], steps.precision),
        )
        prevalence = m.overall.prevalence.value or 0.0
        point = m.overall.specificity.value, m.overall.sensitivity.value, m.overall.ppv.value
        if None not in point:
            points[m.model] = point
    name = f"curves {metrics.cohort}"
    if not receivers:
        return None
    return plots.roc_and_precision_recall(receivers, precision_recall, points, prevalence, name)


def _subgroups(metrics: Metrics) -> str | None:
    rows: list[tuple[str, int, dict[str, Any]]] = []
    first = metrics.models[0]
    everyone = {m.model: m.overall.auroc for m in metrics.models}
    rows.append(("everybody", first.overall.n, everyone))
    for i, group in enumerate(first.subgroups):
        estimates = {m.model: _level(m.subgroups, i, group.level) for m in metrics.models}
        if None in estimates.values():
            continue
        label = f"{group.by} {group.level}" if group.by == "age" else group.level
        rows.append((label, group.performance.n, estimates))
    return plots.forest(rows, "AUROC (95% interval)", f"subgroups {metrics.cohort}")


def _level(subgroups: tuple, i: int, level: str) -> Any:
    """The AUROC of the same subgroup under another model; None if that model lacks it."""
    same = i < len(subgroups) and subgroups[i].level == level
    return subgroups[i].performance.auroc if same else None


def _severities(metrics: Metrics) -> str | None:
    models = [m for m in metrics.models if m.severities]
    if not models:
        return None
    rows = []
    for i, band in enumerate(models[0].severities):
        rows.append((band.level, band.n, {m.model: m.severities[i].accuracy for m in models}))
    return plots.forest(
        rows, "share called rightly at the frozen threshold", f"severity {metrics.cohort}"
    )


def training_figure(run: Run) -> str | None:
    """Loss and tuning AUROC of the models that were trained here."""
    panels: dict[str, dict[str, tuple[list[float], list[float]]]] = {}
    for quantity, title in (("train/loss", "training loss"), ("tune/auroc", "tuning AUROC")):
        for model in MODELS:
            points = [
                (float(line["step"]), float(line[quantity]))
                for line in run.curve(model)
                if _is_number(line.get("step")) and _is_number(line.get(quantity))
            ]
            if points:
                steps, values = zip(*points, strict=True)
                panels.setdefault(title, {})[model] = (list(steps), list(values))
    return plots.training_curves(panels, "training") if panels else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value
