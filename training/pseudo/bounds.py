"""How sure a share of right answers is: exact binomial bounds (Clopper & Pearson 1934)."""

from __future__ import annotations

from functools import lru_cache
from typing import overload

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv


@overload
def lower(right: float, n: float, confidence: float) -> float: ...
@overload
def lower(right: ArrayLike, n: ArrayLike, confidence: float) -> NDArray[np.float64]: ...
def lower(right: ArrayLike, n: ArrayLike, confidence: float) -> float | NDArray[np.float64]:
    """The one-sided lower bound of a share of which `right` of `n` were seen; 0 where none was.

    It is the share at which so many right answers or more have probability 1 - confidence.
    """
    k, m = np.broadcast_arrays(np.asarray(right, np.float64), np.asarray(n, np.float64))
    safe = np.maximum(k, 1)
    found = np.where(k > 0, betaincinv(safe, m - safe + 1, 1 - confidence), 0.0)
    return float(found) if found.ndim == 0 else found


def upper(right: float, n: float, confidence: float) -> float:
    """The one-sided upper bound; 1 where all were right."""
    return 1 - lower(n - right, n, confidence)


def interval(right: float, n: float, confidence: float = 0.95) -> tuple[float, float] | None:
    """The two-sided interval, half of what is left on each side; None of nothing."""
    if n == 0:
        return None
    half = (1 + confidence) / 2
    return lower(right, n, half), upper(right, n, half)


def sizes(target: float, confidence: float, most: int) -> tuple[int, ...]:
    """Sizes at which to look, up to `most`: the smallest n whose bound passes with c mistakes.

    For c = 1, 2, 3, 4, 5, 6, 8, ... (a quarter more each time). They depend on the target and the
    confidence alone, so that no look at the data chooses them. A start at c = 0 would stop at the
    first mistake of all.
    """
    found, mistakes = [], 1
    while (n := smallest(mistakes, target, confidence)) <= most:
        found.append(n)
        mistakes = max(mistakes + 1, round(1.25 * mistakes))
    return tuple(found)


@lru_cache(maxsize=4096)
def smallest(mistakes: int, target: float, confidence: float) -> int:
    """The smallest n of which all but `mistakes` right give a lower bound of `target` (below 1)."""

    def passes(n: int) -> bool:  # `lower` of one, without its arrays
        return betaincinv(n - mistakes, mistakes + 1, 1 - confidence) >= target

    low, high = mistakes, 2 * mistakes + 2  # fails, perhaps passes
    while not passes(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if passes(middle) else (middle, high)
    return high
