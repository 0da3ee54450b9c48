"""What is known of each patient's time to a fracture, checked once, with ties made exact.

Times that tie in mathematics may not tie in floats: 0.1 + 0.2 years is not 0.3. Every statistic of
this package works on whole-number ranks, in which values closer than `TIE` times their mean
magnitude are one (R's survival does the same to times, with 1.5e-8).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: Far above the rounding of a few float64 operations, far below what two patients differ by.
TIE = 1e-12


def ranks(values: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Rank of each value among the distinct ones, from 0, and the distinct values.

    Values that a chain of gaps up to `TIE` joins are one, and the lowest speaks for them.

    Args:
        values: finite float [n].
    """
    x = np.asarray(values, dtype=np.float64)
    distinct, rank = np.unique(x, return_inverse=True)
    new = np.diff(distinct, prepend=-np.inf) > slack(distinct)
    return (np.cumsum(new) - 1)[rank], distinct[new]


def slack(distinct: NDArray[np.float64]) -> float:
    """How close two values may be and still be one, among these."""
    return TIE * float(np.abs(distinct).mean()) if distinct.size else 0.0


def numbers(values: ArrayLike, name: str) -> NDArray[np.float64]:
    """As floats.

    Raises:
        ValueError: something among them is no number, like the missing values of a table.
    """
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as problem:
        raise ValueError(f"{name}: not a list of numbers; drop rows without one first") from problem


def column(values: ArrayLike, n: int, name: str) -> NDArray[np.float64]:
    """A finite float list of `n` rows.

    Raises:
        ValueError: it has another shape, or a value that is no finite number.
    """
    x = numbers(values, name)
    if x.shape != (n,):
        raise ValueError(f"{name} {x.shape} must be a list as long as the times, {n}")
    if bad := int((~np.isfinite(x)).sum()):
        raise ValueError(f"{bad} of {n} values of {name} are not finite: drop those rows first")
    return x


@dataclass(frozen=True)
class FollowUp:
    """Patients followed until a fracture or until they were last seen. Make it with `FollowUp.of`.

    time: float [n], from the picture, in the caller's unit; ties are equal floats.
    event: bool [n], True for a fracture at `time`, False for no fracture up to `time` (censored).
    rank: int [n], place of each time in `times`.
    times: float [k], the distinct times, ascending.
    """

    time: NDArray[np.float64]
    event: NDArray[np.bool_]
    rank: NDArray[np.int64]
    times: NDArray[np.float64]

    @classmethod
    def of(cls, time: ArrayLike, event: ArrayLike) -> FollowUp:
        """Check and rank.

        Args:
            time: float [n], at least 0.
            event: 0 or 1, [n].

        Raises:
            ValueError: a time is negative or not finite, an event is not 0 or 1, the lengths
                differ.
        """
        happened = numbers(event, "event")
        t = numbers(time, "time")
        t = column(t, t.size, "time")
        if happened.shape != t.shape:
            raise ValueError(f"times {t.shape} and events {happened.shape} must be equally long")
        if (t < 0).any():
            raise ValueError(
                f"{int((t < 0).sum())} of {t.size} times are negative: count from the picture, "
                "and drop patients whose fracture came before it"
            )
        if not np.isin(happened, (0, 1)).all():
            raise ValueError("events must be 1 (fracture) or 0 (censored): drop the other rows")
        rank, times = ranks(t)
        return cls(times[rank], happened.astype(bool), rank, times)

    @property
    def n(self) -> int:
        """Patients."""
        return self.time.size

    @property
    def events(self) -> NDArray[np.int64]:
        """Fractures at each of `times`, [k]."""
        return np.bincount(self.rank[self.event], minlength=self.times.size)

    @property
    def censored(self) -> NDArray[np.int64]:
        """Patients last seen without a fracture at each of `times`, [k]."""
        return np.bincount(self.rank[~self.event], minlength=self.times.size)

    @property
    def at_risk(self) -> NDArray[np.int64]:
        """Patients followed up to each of `times`, those who leave at it included, [k]."""
        return np.cumsum((self.events + self.censored)[::-1])[::-1]

    @property
    def nothing(self) -> str | None:
        """Why no statistic of fractures is defined, if it is so."""
        if not self.n:
            return "nobody was followed"
        return None if self.event.any() else f"none of {self.n} patients had a fracture"


def step(
    times: NDArray[np.float64], values: NDArray[np.float64], start: float, at: ArrayLike
) -> NDArray[np.float64]:
    """A right-continuous step function: `start` before times[0], values[i] from times[i] on.

    A time of `at` within rounding of a step is on it.
    """
    when = np.asarray(at, dtype=np.float64)
    return np.append(start, values)[np.searchsorted(times, when + slack(times), "right")]
