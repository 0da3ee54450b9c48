"""p values of many tests, corrected for how many there were."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def holm(p: Sequence[float]) -> list[float]:
    """Holm's step-down p values, in the order given (Scand J Stat 1979)."""
    if not p:
        return []
    values = np.asarray(p, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    steps = values[order] * np.arange(values.size, 0, -1)
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(steps))
    return adjusted.tolist()


def bonferroni(p: Sequence[float]) -> list[float]:
    """Each p times their number, at most 1."""
    return [min(1.0, value * len(p)) for value in p]
