"""How likely a patient is still followed: the weights that make up for those who are not.

Inverse probability of censoring weights (IPCW): a fracture seen at t stands for 1 / G(t-) patients,
where G is the Kaplan-Meier estimate of remaining uncensored. At a tie fractures come first, so
that the censored of a time are still at risk of its fractures, and G(t-) is the chance of being
followed up to t.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eval.survival.followup import FollowUp, slack


@dataclass(frozen=True)
class Censoring:
    """The chance G of being followed beyond each of `times` [k]. Make it with `Censoring.of`.

    It is 0 beyond the last of them: nobody was followed for longer, so nobody can stand for those.
    """

    times: NDArray[np.float64]
    followed: NDArray[np.float64]

    @classmethod
    def of(cls, seen: FollowUp) -> Censoring:
        """Estimate it from these patients."""
        risk = seen.at_risk - seen.events  # fractures of the same time have left
        share = seen.censored / np.maximum(risk, 1)
        return cls(seen.times, np.cumprod(1 - share, dtype=np.float64))

    def after(self, t: ArrayLike) -> NDArray[np.float64]:
        """G(t): followed beyond t."""
        when = np.asarray(t, dtype=np.float64) + slack(self.times)
        place = np.searchsorted(self.times, when, "right")
        return np.concatenate([[1.0], self.followed[:-1], [0.0]])[place]

    def before(self, t: ArrayLike) -> NDArray[np.float64]:
        """G(t-): followed up to t, which is when a fracture at t is seen."""
        when = np.asarray(t, dtype=np.float64) - slack(self.times)
        place = np.searchsorted(self.times, when, "left")
        return np.concatenate([[1.0], self.followed[:-1], [0.0]])[place]


@dataclass(frozen=True)
class Status:
    """What is known of the patients at one time, and how many each of them stands for.

    case, control: bool [n], broken up to the time, and followed beyond it without a fracture.
    weight: float [n], 0 for those who are neither.
    steps: int [n], how many of the patients' times each weight looks back on.
    undefined: why the weights cannot be had.
    """

    case: NDArray[np.bool_]
    control: NDArray[np.bool_]
    weight: NDArray[np.float64]
    steps: NDArray[np.int64]
    undefined: str | None = None


def status(seen: FollowUp, censoring: Censoring, at: float) -> Status:
    """Cases weigh 1 / G(T-), controls 1 / G(at)."""
    beyond = seen.time > at + slack(seen.times)
    case, control = seen.event & ~beyond, beyond
    chance = np.zeros(seen.n)
    chance[case] = censoring.before(seen.time[case])
    chance[control] = censoring.after(at)
    known = chance > 0
    reason = None
    if not known[case | control].all():
        reason = f"nobody of the reference is followed beyond {at:g}, as some here are"
    elif not control.any() and seen.n and not seen.event[seen.rank == seen.times.size - 1].all():
        reason = f"nobody is followed beyond {at:g}"
    weight = np.divide(1.0, chance, out=np.zeros(seen.n), where=known)
    passed = int(np.searchsorted(seen.times, at + slack(seen.times), "right"))
    return Status(case, control, weight, np.where(case, seen.rank, passed), reason)


def grid(times: ArrayLike) -> NDArray[np.float64]:
    """Times at which to judge, float [k].

    Raises:
        ValueError: there is none, one is not finite and positive, or they do not ascend.
    """
    t = np.atleast_1d(np.asarray(times, dtype=np.float64))
    if t.ndim != 1 or not t.size or not (np.isfinite(t) & (t > 0)).all() or (np.diff(t) <= 0).any():
        raise ValueError("times to judge at must be positive and ascending, at least one")
    return t
