"""ROC and precision-recall curves at every distinct score, and the area under the second as steps.

The rule at a threshold is score >= threshold. Average precision is the step sum, not the
trapezoid, which promises points between the steps that no threshold gives.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eval.estimate import Estimate, undefined
from eval.inputs import labels, lacking, scores
from eval.ranking import Ranking


def _none() -> NDArray[np.float64]:
    return np.zeros(0)


@dataclass(frozen=True)
class Roc:
    """Points [k] from (0, 0), at threshold infinity, to (1, 1); empty where `undefined`."""

    threshold: NDArray[np.float64] = field(default_factory=_none)
    fpr: NDArray[np.float64] = field(default_factory=_none)
    tpr: NDArray[np.float64] = field(default_factory=_none)
    undefined: str | None = None


@dataclass(frozen=True)
class PrecisionRecall:
    """Points [k], highest threshold first; empty where `undefined` says why.

    Draw recall 0 with the first precision, then steps: average precision is the area under
    ``step(where="pre")``.
    """

    threshold: NDArray[np.float64] = field(default_factory=_none)
    precision: NDArray[np.float64] = field(default_factory=_none)
    recall: NDArray[np.float64] = field(default_factory=_none)
    undefined: str | None = None


def roc(y: ArrayLike, score: ArrayLike) -> Roc:
    """False and true positive rate at every distinct score.

    Args:
        y: 0 or 1, [n].
        score: finite float [n].

    Raises:
        ValueError: labels or scores are not what they should be.
    """
    if reason := _checked(y, score):
        return Roc(undefined=reason)
    threshold, true, false = _cumulative(y, score)
    rates = np.append(0, false) / false[-1], np.append(0, true) / true[-1]
    return Roc(np.append(np.inf, threshold), *rates)


def pr(y: ArrayLike, score: ArrayLike) -> PrecisionRecall:
    """Precision and recall at every distinct score; arguments and errors as `roc`."""
    if reason := _checked(y, score):
        return PrecisionRecall(undefined=reason)
    threshold, true, false = _cumulative(y, score)
    return PrecisionRecall(threshold, true / (true + false), true / true[-1])


def average_precision(y: ArrayLike, score: ArrayLike) -> Estimate:
    """The step sum under the precision-recall curve; arguments and errors as `roc`."""
    if reason := _checked(y, score):
        return undefined(reason)
    return Estimate(value=Ranking.of(y, score).once()[1], method="step sum, no interval")


def _checked(y: ArrayLike, score: ArrayLike) -> str | None:
    label = labels(y)
    scores(score, label.size)
    return lacking(label)


def _cumulative(y: ArrayLike, score: ArrayLike) -> tuple[NDArray, NDArray, NDArray]:
    """Distinct scores, highest first, and the true and false positives at each."""
    order = Ranking.of(y, score)
    last = np.flatnonzero(order.last)
    true = np.cumsum(order.sick)[last].astype(float)
    return np.asarray(score, dtype=np.float64)[order.order][last], true, last + 1 - true
