"""From each row's influence on a statistic to its standard error and interval, by patient."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm


def codes(patient: ArrayLike | None, n: int) -> NDArray[np.int64]:
    """A number from 0 for the patient of each of `n` rows; without `patient` each row is one.

    Raises:
        ValueError: the list is not `n` long.
    """
    if patient is None:
        return np.arange(n)
    if np.shape(patient) != (n,):
        raise ValueError(f"patients {np.shape(patient)} must be a list of {n}, one a row")
    return np.unique(np.asarray(patient), return_inverse=True)[1]


def error(influence: NDArray[np.float64], code: NDArray[np.int64]) -> float:
    """Infinitesimal jackknife: root of the sum over patients of their squared influence.

    Args:
        influence: float [n], derivative of the statistic in each row's weight; sums to 0.
        code: int [n], as from `codes`.
    """
    return float(np.sqrt((np.bincount(code, weights=influence) ** 2).sum()))


def deviate(level: float) -> float:
    """The normal deviate of a two-sided interval.

    Raises:
        ValueError: the level is not in (0, 1).
    """
    if not 0 < level < 1:
        raise ValueError(f"a level of {level} is not between 0 and 1")
    return float(norm.ppf(0.5 + level / 2))
