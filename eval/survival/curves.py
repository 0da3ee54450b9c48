"""A fracture-free curve for each patient, from the log risks of a Cox model.

A model trained with Cox's partial likelihood says who breaks first and not when. The baseline
cumulative hazard, estimated on patients with known follow-up (the tuning split, not the test
split), adds the when: S(t | x) = exp(-H0(t) exp(log risk)) (Breslow 1972). With Efron's correction
patients of tied fractures leave the risk set one after the other on average; use the one the model
was trained with. Everything is summed as logarithms, so that no log risk overflows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eval.survival.followup import FollowUp, column, slack, step

Ties = Literal["efron", "breslow"]


@dataclass(frozen=True)
class Baseline:
    """The cumulative hazard of a patient whose log risk is 0. Make it with `baseline`.

    times: float [k], of fractures.
    log_hazard: float [k], log of H0 at them.
    end: until when anybody was followed; curves are not continued beyond.
    undefined: why there is none.
    """

    times: NDArray[np.float64]
    log_hazard: NDArray[np.float64]
    end: float
    undefined: str | None = None

    def curves(self, log_risk: ArrayLike, times: ArrayLike) -> NDArray[np.float64]:
        """Share without a fracture, [m, j]: m patients at j times; NaN beyond `end`.

        Args:
            log_risk: finite float [m], of any patients, on the scale the baseline was made with.
            times: float [j], at least 0.

        Raises:
            ValueError: the baseline is undefined, or a log risk or time is not finite.
        """
        if self.undefined:
            raise ValueError(f"no curves: {self.undefined}")
        risk = column(log_risk, np.size(log_risk), "log risk")
        at = column(times, np.size(times), "times")
        hazard = step(self.times, self.log_hazard, -np.inf, at)
        with np.errstate(over="ignore"):  # a hazard beyond the largest float leaves a share of 0
            share = np.exp(-np.exp(risk[:, None] + hazard[None]))
        share[:, at > self.end + slack(self.times)] = np.nan
        return share


def baseline(
    time: ArrayLike, event: ArrayLike, log_risk: ArrayLike, ties: Ties = "efron"
) -> Baseline:
    """Estimate it.

    Args:
        time: float [n], at least 0.
        event: 0 or 1, [n].
        log_risk: finite float [n], what the model says of these patients.
        ties: ``efron`` or ``breslow``; without tied fractures they are one.

    Raises:
        ValueError: as `FollowUp.of`; a log risk is not finite; the lengths differ; ties is neither.
    """
    if ties not in get_args(Ties):
        raise ValueError(f"ties {ties!r}: choose one of {', '.join(get_args(Ties))}")
    seen = FollowUp.of(time, event)
    risk = column(log_risk, seen.n, "log risk")
    if seen.nothing:
        return Baseline(np.zeros(0), np.zeros(0), 0.0, seen.nothing)
    # log of the summed risk of everybody followed up to each time, and of those breaking at it
    everyone = _log_sums(seen.rank, risk, seen.times.size)
    at_risk = np.logaddexp.accumulate(everyone[::-1])[::-1]
    breaking = _log_sums(seen.rank[seen.event], risk[seen.event], seen.times.size)
    place = np.flatnonzero(seen.events)
    d = seen.events[place]
    # one row for each fracture: the l-th of d at its time, l = 0, ..., d - 1
    group = np.repeat(np.arange(place.size), d)
    done = np.arange(d.sum()) - np.repeat(np.cumsum(d) - d, d)
    left = at_risk[place][group]
    if ties == "efron":
        left = left + np.log1p(-done / d[group] * np.exp(breaking[place] - at_risk[place])[group])
    jumps = _log_sums(group, -left, place.size)
    hazard = np.logaddexp.accumulate(jumps)
    return Baseline(seen.times[place], hazard, float(seen.times[-1]))


def _log_sums(group: NDArray[np.int64], x: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """log(sum(exp(x))) within each of `n` groups; -inf for an empty one."""
    top = np.full(n, -np.inf)
    np.maximum.at(top, group, x)
    sums = np.bincount(group, weights=np.exp(x - top[group]), minlength=n)
    out = np.full(n, -np.inf)
    np.log(sums, out=out, where=sums > 0)
    return out + np.where(np.isfinite(top), top, 0.0)
