"""Choosing the threshold: on tuning data, never on those it is judged by.

The rule is probability >= threshold. A `Threshold` carries the hash of the data that it was chosen
on, so that `binary_metrics` can refuse to judge it on the same.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from eval.curves import roc
from eval.inputs import labels, lacking, probabilities


@dataclass(frozen=True)
class Threshold:
    """A threshold, how it was chosen, and what it gave there; None where `undefined` says why."""

    value: float | None
    rule: str
    sensitivity: float | None = None
    specificity: float | None = None
    chosen_on: str | None = None
    undefined: str | None = None


def fixed_threshold(value: float) -> Threshold:
    """One stated beforehand.

    Raises:
        ValueError: outside [0, 1].
    """
    if not 0 <= value <= 1:
        raise ValueError(f"threshold {value}: a probability in [0, 1]")
    return Threshold(float(value), "fixed")


def youden_threshold(y: ArrayLike, p: ArrayLike) -> Threshold:
    """The highest threshold with the largest sensitivity + specificity, of tuning data [n].

    Raises:
        ValueError: labels or probabilities are not what they should be.
    """
    return _chosen(y, p, "Youden", None)


def sensitivity_threshold(y: ArrayLike, p: ArrayLike, target: float) -> Threshold:
    """The highest threshold whose sensitivity on tuning data [n] is at least `target`.

    Raises:
        ValueError: as `youden_threshold`; the target is not in (0, 1].
    """
    if not 0 < target <= 1:
        raise ValueError(f"target sensitivity {target}: a share above 0, at most 1")
    return _chosen(y, p, f"sensitivity >= {target:g}", target)


def _chosen(y: ArrayLike, p: ArrayLike, rule: str, target: float | None) -> Threshold:
    label = labels(y)
    probability = probabilities(p, label.size)
    if reason := lacking(label):
        return Threshold(None, rule, undefined=reason)
    curve = roc(label, probability)
    m, n = int(label.sum()), int(label.size - label.sum())
    # whole counts, so that equal choices tie exactly; the first point flags nobody
    true, false = np.rint(curve.tpr * m).astype(int)[1:], np.rint(curve.fpr * n).astype(int)[1:]
    if target is None:
        at = int(np.argmax(true * n - false * m))
    else:
        at = int(np.argmax(true >= math.ceil(target * m - 1e-9)))
    return Threshold(
        float(curve.threshold[at + 1]),
        rule,
        float(true[at] / m),
        float(1 - false[at] / n),
        fingerprint(y, p),
    )


def fingerprint(y: ArrayLike, p: ArrayLike) -> str:
    """SHA-256 of the rows as pairs, in any order."""
    pairs = np.column_stack([np.asarray(p, np.float64), np.asarray(y, np.float64)])
    rows = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
    return hashlib.sha256(rows.tobytes()).hexdigest()
