"""What predictions are worth, from arrays alone: two classes at a threshold, or many classes.

    from eval.metrics import binary_metrics, youden_threshold
    binary_metrics(y, p, youden_threshold(tune_y, tune_p), prevalence=0.1).ppv_at_prevalence

The same functions make metrics.json of a cohort (`eval.cohort`).
"""

from __future__ import annotations

from dataclasses import dataclass

from numpy.typing import ArrayLike

from eval.calibration import brier
from eval.curves import average_precision as average_precision
from eval.curves import pr as pr
from eval.curves import roc as roc
from eval.decisions import Decisions, decisions, predictive_values
from eval.delong import delong_auc
from eval.estimate import Estimate
from eval.inputs import labels, patient_codes, probabilities
from eval.intervals import Method, proportion
from eval.multiclass import multiclass_metrics as multiclass_metrics
from eval.thresholds import Threshold, fingerprint
from eval.thresholds import fixed_threshold as fixed_threshold
from eval.thresholds import sensitivity_threshold as sensitivity_threshold
from eval.thresholds import youden_threshold as youden_threshold


@dataclass(frozen=True)
class BinaryMetrics(Decisions):
    """Everything about one model on one set of rows, at one threshold."""

    n: int
    patients: int
    threshold: float
    prevalence: Estimate
    auroc: Estimate
    average_precision: Estimate
    brier_binary: Estimate
    stated_prevalence: float | None
    ppv_at_prevalence: Estimate | None
    npv_at_prevalence: Estimate | None


def binary_metrics(
    y: ArrayLike,
    p: ArrayLike,
    threshold: float | Threshold,
    patients: ArrayLike | None = None,
    prevalence: float | None = None,
    method: Method = "wilson",
    level: float = 0.95,
) -> BinaryMetrics:
    """Judge probabilities `p` [n] of class 1 at a threshold; the rule is p >= threshold.

    Args:
        y: 0 or 1, [n].
        p: in [0, 1], [n].
        threshold: a number, or one chosen on tuning data.
        patients: [n], who each row is of; without it every row is a patient.
        prevalence: also give PPV and NPV at this share of positives.
        method: kind of binomial interval.
        level: two-sided confidence level.

    Raises:
        ValueError: labels, probabilities, threshold or prevalence are not what they should be; the
            threshold was chosen on these very rows.
    """
    label = labels(y)
    probability = probabilities(p, label.size)
    at = _value(threshold, label, probability)
    code = patient_codes(patients, label.size)
    flagged = probability >= at
    ranked = delong_auc(label, probability, level, code)
    reweighted = (
        (None, None)
        if prevalence is None
        else predictive_values(label, flagged, prevalence, code, level)
    )
    return BinaryMetrics(
        **vars(decisions(label, flagged, code, method, level)),
        n=label.size,
        patients=int(code.max()) + 1 if code.size else 0,
        threshold=at,
        prevalence=proportion(label == 1, code, "no rows", method, level),
        auroc=Estimate(
            value=ranked.auc,
            low=ranked.low,
            high=ranked.high,
            method="" if ranked.low is None else "DeLong",
            undefined=ranked.undefined or ranked.note,
        ),
        average_precision=average_precision(label, probability),
        brier_binary=brier(label, probability),
        stated_prevalence=prevalence,
        ppv_at_prevalence=reweighted[0],
        npv_at_prevalence=reweighted[1],
    )


def _value(threshold: float | Threshold, label: ArrayLike, probability: ArrayLike) -> float:
    """The number; refuses one that does not exist or was chosen on the rows to be judged."""
    if not isinstance(threshold, Threshold):
        value = fixed_threshold(threshold).value
    elif threshold.value is None:
        raise ValueError(f"no threshold ({threshold.rule}): {threshold.undefined}")
    elif threshold.chosen_on == fingerprint(label, probability):
        raise ValueError(
            f"the threshold ({threshold.rule}) was chosen on these very rows: judge it on others"
        )
    else:
        value = threshold.value
    assert value is not None
    return value
