"""What a flag would mean where low bone mass is rarer: Bayes' rule at stated prevalences."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from eval.cohort import Metrics, ModelMetrics
from eval.decisions import predictive_values
from eval.estimate import Estimate, undefined
from eval.frames import Frame

#: Shares of low bone mass, from a young clinic to one that sends the frail.
PREVALENCES = (0.05, 0.10, 0.20, 0.30)


@dataclass(frozen=True)
class At:
    """Predictive values at one prevalence, and what 1,000 such people would meet."""

    prevalence: float
    ppv: Estimate
    npv: Estimate
    flagged: float | None
    found: float | None
    missed: float | None


@dataclass(frozen=True)
class Reweighted:
    """One model on one cohort."""

    cohort: str
    model: str
    at: tuple[At, ...]


def reweighted(metrics: Metrics, frame: Frame) -> list[Reweighted]:
    """Every model of a cohort that has a threshold and both classes.

    Args:
        metrics: of the cohort.
        frame: its predictions.
    """
    labelled = frame[frame["label"].notna()]
    return [
        Reweighted(metrics.cohort, m.model, tuple(_at(m, rows, p) for p in PREVALENCES))
        for m in metrics.models
        if m.overall.sensitivity.value is not None and m.overall.specificity.value is not None
        for rows in [labelled[labelled["model"] == m.model]]
    ]


def _at(model: ModelMetrics, rows: Frame, prevalence: float) -> At:
    label = rows["label"].to_numpy(np.int64)
    flagged = rows["probability"].to_numpy(float) >= float(model.threshold or 0.0)
    patients = rows["patient"].to_numpy(str)
    ppv, npv = predictive_values(label, flagged, prevalence, patients)
    found = 1000 * prevalence * float(model.overall.sensitivity)
    wrong = 1000 * (1 - prevalence) * (1 - float(model.overall.specificity))
    return At(prevalence, _named(ppv), _named(npv), found + wrong, found, 1000 * prevalence - found)


def _named(e: Estimate) -> Estimate:
    """`undefined` in the report's words."""
    return undefined(e.undefined or "") if e.value is None else e
