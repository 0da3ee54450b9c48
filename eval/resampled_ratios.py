"""Twelve metrics of one group under the same resamples: ranking in one pass, ratios from counts.

    bootstrap_metrics(y, p, 0.5, draws, column)["mcc"].low

The draws are made once a cohort and shared by its groups, so that forty groups cost seconds.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eval.bootstrap import NOT_RESAMPLED, PatientDraws, of_sums, percentile
from eval.estimate import Estimate, undefined
from eval.inputs import labels, lacking, probabilities
from eval.ranking import Ranking

RATIOS = (
    *("sensitivity", "specificity", "ppv", "npv", "accuracy", "balanced_accuracy"),
    *("youden", "f1", "mcc", "brier_binary"),
)
METRICS = ("auroc", "average_precision", *RATIOS)


def bootstrap_metrics(
    y: ArrayLike,
    p: ArrayLike,
    threshold: float,
    draws: PatientDraws,
    column: NDArray[np.int64],
    level: float = 0.95,
) -> dict[str, Estimate]:
    """Every metric of `METRICS` with its percentile interval.

    Resamples without one of the classes are drawn again; those where a ratio has nothing to divide
    by, as PPV where nobody was flagged, are left out of that ratio: its method counts the rest.

    Args:
        y: 0 or 1, [n].
        p: in [0, 1], [n]; the rule is p >= threshold.
        threshold: frozen beforehand.
        draws: of the whole cohort's patients.
        column: int [n], the patient of each row, as a column of the draws.
        level: two-sided confidence level.

    Raises:
        ValueError: labels or probabilities are not what they should be.
    """
    label = labels(y)
    probability = probabilities(p, label.size)
    if reason := lacking(label):
        return dict.fromkeys(METRICS, undefined(reason))
    order = Ranking.of(label, probability)
    flagged = probability >= threshold
    # sums: (true positives, positives, flagged, rows, squared error)
    parts = label * flagged, label, flagged, np.ones(label.size), (probability - label) ** 2
    values = np.stack(parts, axis=1).astype(float)
    found = [*order.once(), *ratios(values.sum(axis=0)[None])[:, 0]]
    resampled = draws.both_classes(column[label == 1], column[label == 0])
    if resampled is None:
        return {
            name: _point(value, NOT_RESAMPLED) for name, value in zip(METRICS, found, strict=True)
        }
    counts, redrawn = resampled
    # of_sums keeps sums [draws, 5] as they are
    sums = of_sums(counts, column, values, lambda s: s)
    drawn = [*order.statistics(counts, column), *ratios(sums)]
    return {
        name: _interval(value, each, redrawn, level)
        for name, value, each in zip(METRICS, found, drawn, strict=True)
    }


def ratios(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """`RATIOS` [10, draws] of sums [draws, 5]; NaN where there is nothing to divide by."""
    tp, positives, flagged, n, squared = sums.T
    fp, fn = flagged - tp, positives - tp
    tn = n - flagged - fn
    with np.errstate(divide="ignore", invalid="ignore"):
        se, sp = tp / positives, tn / (n - positives)
        spread = np.sqrt(positives * flagged * (n - positives) * (n - flagged))
        return np.stack(
            [
                *(se, sp, tp / flagged, tn / (n - flagged), (tp + tn) / n),
                *((se + sp) / 2, se + sp - 1, 2 * tp / (positives + flagged)),
                *((tp * tn - fp * fn) / spread, squared / n),
            ]
        )


def _point(value: float, why: str) -> Estimate:
    if np.isnan(value):
        return undefined("everybody or nobody was flagged")
    return Estimate(value=float(value), undefined=why)


def _interval(value: float, draws: NDArray, redrawn: int, level: float) -> Estimate:
    kept = draws[~np.isnan(draws)]
    if np.isnan(value) or not kept.size:
        return _point(value, NOT_RESAMPLED)
    return percentile(float(value), kept, redrawn, level)
