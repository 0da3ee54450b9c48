"""Metrics of two classes as functions of the counts, elementwise, and the ranges they can take."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from eval.linter.printed import Printed

#: Cells of (TP, TN) looked through at most; a larger search is left out, never wrong.
LARGEST = 300_000


def metric(name: str, tp: Any, tn: Any, positives: int, negatives: int) -> Any:
    """One metric [...] for TP and TN [...] among so many positives and negatives; NaN for 0/0."""
    fn, fp, n = positives - tp, negatives - tn, positives + negatives
    with np.errstate(divide="ignore", invalid="ignore"):
        if name == "sensitivity":
            return np.true_divide(tp, positives)
        if name == "specificity":
            return np.true_divide(tn, negatives)
        if name == "accuracy":
            return np.true_divide(tp + tn, n)
        if name == "balanced_accuracy":
            return (np.true_divide(tp, positives) + np.true_divide(tn, negatives)) / 2
        if name == "ppv":
            return np.true_divide(tp, tp + fp)
        if name == "npv":
            return np.true_divide(tn, tn + fn)
        if name == "f1":
            return np.true_divide(2 * tp, 2 * tp + fp + fn)
        assert name == "kappa", name
        # float: the products of counts may pass 2**63
        chance = (tp + fp) * float(positives) + (tn + fn) * float(negatives)
        return np.true_divide((tp + tn) * float(n) - chance, float(n) * n - chance)


#: Metrics that TP, TN and the class sizes decide.
DECIDED = (
    "sensitivity",
    "specificity",
    "accuracy",
    "balanced_accuracy",
    "ppv",
    "npv",
    "f1",
    "kappa",
)


def auroc_bounds(sensitivity: Any, specificity: Any) -> tuple[Any, Any]:
    """What AUROC can be when the same scores, cut somewhere, give this pair.

    Exact and always true, for any scores and with ties counted half: a positive at or above the
    cut beats every negative below it, so AUROC >= sens * spec, and likewise
    AUROC <= 1 - (1 - sens)(1 - spec). The better known (sens + spec) / 2 is a bound only where
    the ROC curve is concave, which an empirical curve need not be.
    """
    return sensitivity * specificity, 1 - (1 - sensitivity) * (1 - specificity)


def whole_range(printed: Printed | None, of: int) -> tuple[int, int]:
    """First and last count k with k/of printed like this (all of them without a print).

    Empty (first above last) where no count is; both ends lie within [0, of].
    """
    if printed is None or of == 0:
        return 0, of
    low = 0 if printed.low <= 0 else math.ceil(printed.low * of)
    high = of if printed.high >= 1 else math.floor(printed.high * of)
    return max(low, 0), min(high, of)


def grid(
    tp: tuple[int, int], tn: tuple[int, int], limit: int = LARGEST
) -> tuple[np.ndarray, np.ndarray] | None:
    """TP [a, 1] and TN [1, b] over both ranges, or None if that is more than `limit` cells."""
    size = (tp[1] - tp[0] + 1) * (tn[1] - tn[0] + 1)
    if size > limit or max(tp[1] - tp[0], tn[1] - tn[0]) > limit:
        return None
    return np.arange(tp[0], tp[1] + 1)[:, None], np.arange(tn[0], tn[1] + 1)[None, :]


def fits(
    printed: dict[str, Printed], tp: np.ndarray, tn: np.ndarray, positives: int, negatives: int
) -> dict[str, np.ndarray]:
    """For each printed metric, which cells (TP, TN) of the grid are printed like that.

    Includes AUROC, whose bounds the pair sets.
    """
    shape = np.broadcast_shapes(tp.shape, tn.shape)
    found = {}
    for name, said in printed.items():
        if name in DECIDED:
            value = metric(name, tp, tn, positives, negatives)
            found[name] = np.broadcast_to((value >= said.low) & (value <= said.high), shape)
        elif name == "auroc" and positives and negatives:
            low, high = auroc_bounds(tp / positives, tn / negatives)
            found[name] = np.broadcast_to((low <= said.high) & (high >= said.low), shape)
    return found
