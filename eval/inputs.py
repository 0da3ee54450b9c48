"""What every statistic asks of its arrays, said once and in the same words.

A label that is not 0 or 1, a score that is not a number, a probability outside [0, 1], lists of
different lengths: each is one ValueError that says what to do. One class or no rows at all is not
an error: `lacking` names it, and the statistic is undefined for that reason.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def labels(y: ArrayLike) -> NDArray[np.int64]:
    """Labels [n] as 0 and 1.

    Raises:
        ValueError: not a list, or some value is neither 0 nor 1.
    """
    values = np.asarray(y)
    if values.ndim != 1:
        raise ValueError(f"labels must be one list, not of shape {values.shape}")
    if values.size == 0:
        return np.zeros(0, np.int64)
    if values.dtype.kind not in "biuf" or not ((values == 0) | (values == 1)).all():
        raise ValueError("labels must be 0 or 1: drop or recode the other rows first")
    return values.astype(np.int64, copy=False)


def scores(values: ArrayLike, n: int, what: str = "scores") -> NDArray[np.float64]:
    """Finite numbers [n].

    Raises:
        ValueError: another shape than [n], or a value that is NaN or infinite.
    """
    try:
        s = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{what} must be numbers") from None
    if s.shape != (n,):
        raise ValueError(f"{what} have shape {s.shape} beside {n} labels: one for each, in a list")
    if bad := int(n - np.isfinite(s).sum()):
        raise ValueError(f"{bad} of {n} {what} are NaN or infinite: drop those rows first")
    return s


def probabilities(values: ArrayLike, n: int, what: str = "probabilities") -> NDArray[np.float64]:
    """Numbers [n] in [0, 1].

    Raises:
        ValueError: as `scores`, or a value outside [0, 1].
    """
    p = scores(values, n, what)
    if bad := int(((p < 0) | (p > 1)).sum()):
        raise ValueError(
            f"{bad} of {n} {what} are outside [0, 1], such as {p[(p < 0) | (p > 1)][0]:g}: "
            "logits need a sigmoid first"
        )
    return p


def patient_codes(patients: ArrayLike | None, n: int) -> NDArray[np.int64]:
    """The patient of each row [n] as 0, 1, ...; without `patients` every row is its own.

    Raises:
        ValueError: another shape than [n].
    """
    if patients is None:
        return np.arange(n)
    who = np.asarray(patients)
    if who.shape != (n,):
        raise ValueError(f"patients have shape {who.shape} beside {n} labels: one for each row")
    return np.unique(who, return_inverse=True)[1].astype(np.int64, copy=False)


def lacking(y: NDArray[np.int64]) -> str | None:
    """Why nothing that compares two classes is defined for labels [n], if so."""
    if y.size == 0:
        return "no rows"
    if y.all():
        return f"one class only: all {y.size} are positive"
    return None if y.any() else f"one class only: all {y.size} are negative"


def check_level(level: float) -> float:
    """The two-sided confidence level.

    Raises:
        ValueError: not strictly between 0 and 1.
    """
    if not 0 < level < 1:
        raise ValueError(f"level {level}: a share between 0 and 1, such as 0.95")
    return level
