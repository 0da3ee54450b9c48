"""Does the patient who breaks first have the higher score? Harrell's C and Uno's, in O(n log n).

A pair is comparable where one patient is seen to break and the other is still followed without a
fracture: to a later time, or censored at that very time. Two fractures at one time say nothing
about order. Equal scores count half. Harrell et al. (Stat Med 1996) weigh every pair alike, so that
C depends on who was censored; Uno et al. (Stat Med 2011) weigh a fracture at t by 1 / G(t-)^2 and
stop at a horizon.

The variance is the infinitesimal jackknife (Therneau, R's ``survival::concordance``): each row's
influence on C, summed within patients, then squared. The weights of Uno's C are taken as known, as
R does. The interval is on the scale of the logit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eval.survival.censoring import Censoring
from eval.survival.followup import FollowUp, column, ranks
from eval.survival.influence import codes, deviate, error, limits
from eval.survival.pairs import pairs


@dataclass(frozen=True)
class Concordance:
    """C, its standard error and interval, and the pairs it is made of.

    value: in [0, 1], .5 for scores that know nothing; None where no pair is comparable.
    error, low, high: None where the sample shows no variance.
    concordant, discordant, tied: pairs by their scores (weighted ones for Uno's C).
    same_time: pairs of fractures at one time, which are not comparable.
    undefined: why something is None.
    """

    value: float | None
    error: float | None
    low: float | None
    high: float | None
    concordant: float
    discordant: float
    tied: float
    same_time: int
    undefined: str | None = None


def harrell_c(
    time: ArrayLike,
    event: ArrayLike,
    score: ArrayLike,
    patient: ArrayLike | None = None,
    level: float = 0.95,
) -> Concordance:
    """Harrell's C.

    Args:
        time: float [n], at least 0.
        event: 0 or 1, [n].
        score: finite float [n], higher for an earlier fracture (a risk, not a time).
        patient: [n], who each row is of; without it every row is a patient.
        level: of the two-sided interval, in (0, 1).

    Raises:
        ValueError: as `FollowUp.of`; a score is not finite; the lengths differ.
    """
    seen = FollowUp.of(time, event)
    return _concordance(seen, score, seen.event.astype(np.float64), patient, level, seen.nothing)


def uno_c(
    time: ArrayLike,
    event: ArrayLike,
    score: ArrayLike,
    horizon: float | None = None,
    reference: FollowUp | None = None,
    patient: ArrayLike | None = None,
    level: float = 0.95,
) -> Concordance:
    """Uno's C: as `harrell_c`, with fractures before `horizon` weighted by 1 / G(t-)^2.

    Args:
        time: as `harrell_c`, and so are event, score, patient and level.
        event: as above.
        score: as above.
        horizon: fractures at it or later are not judged; by default all are.
        reference: whose censoring is G (the training cohort's); by default these patients'.
        patient: as above.
        level: as above.

    Raises:
        ValueError: as `harrell_c`; the horizon is not above 0.
    """
    if horizon is not None and not horizon > 0:
        raise ValueError(f"a horizon of {horizon} is not above 0")
    seen = FollowUp.of(time, event)
    judged = seen.event & (seen.time < (np.inf if horizon is None else horizon))
    followed = Censoring.of(reference or seen).before(seen.time)
    reason = seen.nothing
    if not reason and not judged.any():
        reason = f"no fracture before the horizon of {horizon:g}"
    if (followed[judged] == 0).any():
        reason = "nobody of the reference is followed as long as a fracture here: give a horizon"
    weight = np.zeros(seen.n)
    if not reason:
        weight[judged] = followed[judged] ** -2.0
    return _concordance(seen, score, weight, patient, level, reason)


def _concordance(
    seen: FollowUp,
    score: ArrayLike,
    weight: NDArray[np.float64],
    patient: ArrayLike | None,
    level: float,
    reason: str | None,
) -> Concordance:
    z, code = deviate(level), codes(patient, seen.n)
    rank, _ = ranks(column(score, seen.n, "score"))
    same_time = int((seen.events * (seen.events - 1) // 2).sum())
    if reason:
        return Concordance(None, None, None, None, 0.0, 0.0, 0.0, same_time, reason)
    # by time, fractures before those censored at the same time
    order = np.lexsort((~seen.event, seen.rank))
    own, both = np.zeros((seen.n, 3)), np.zeros((seen.n, 3))
    own[order], both[order] = pairs(seen.rank[order], seen.event[order], rank[order], weight[order])
    concordant, discordant, tied = own.sum(axis=0).tolist()
    total = concordant + discordant + tied
    if total == 0:
        reason = "no pair is comparable: nobody is followed beyond anybody's fracture"
        return Concordance(None, None, None, None, 0.0, 0.0, 0.0, same_time, reason)
    value = (concordant + tied / 2) / total
    influence = (both[:, 0] + both[:, 2] / 2 - value * both.sum(axis=1)) / total
    spread = error(influence, code)
    found = (concordant, discordant, tied, same_time)
    if spread < 1e-12:
        why = "the sample shows no variance of C, as where every pair agrees"
        return Concordance(value, None, None, None, *found, why)
    low, high = (float(x[0]) for x in limits(np.array([value]), np.array([spread]), z))
    return Concordance(value, spread, low, high, *found)
