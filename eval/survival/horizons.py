"""One time after the picture: who broke by then, how well that was ranked, and how far predicted
risks can be believed.

A horizon is judged where at least `AT_RISK` rows are followed up to it and at least `FRACTURES`
came before; else each number is undefined, saying so. Observed risks are 1 - Kaplan-Meier, so that
those who were lost before count for as long as they were seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eval.estimate import Estimate, undefined
from eval.survival.brier import survival_brier
from eval.survival.dynamic_auc import dynamic_auc
from eval.survival.kaplan import KaplanMeier, kaplan_meier
from eval.survival.shapes import Horizon, RiskGroup

YEARS = (1, 2, 3, 5)
DAYS = 365  # a year's
#: With 5 to 9 fractures the 95% interval of the AUROC held the true one in 90% of 900 simulated
#: horizons, with 10 to 19 in 93% of 1,800, with more in 95% of 3,400.
AT_RISK, FRACTURES = 10, 10
GROUPS = 5  # of the calibration; fewer where a group would have fewer fractures than `IN_GROUP`
IN_GROUP = 5


@dataclass(frozen=True)
class Followed:
    """Rows with follow-up: parallel arrays [n].

    time: days, at least 0; event: 0 or 1; score: higher for earlier; patient: int.
    several: why an interval that knows no patients is left out, if it is.
    """

    time: NDArray[np.float64]
    event: NDArray[np.int64]
    score: NDArray[np.float64]
    patient: NDArray[np.int64]
    level: float
    several: str | None = None


def horizon(f: Followed, years: int, risk: NDArray[np.float64] | None) -> Horizon:
    """Everything at `years` after the picture; `risk` [n] is of a fracture by then, or None."""
    days = years * DAYS
    at_risk = int((f.time >= days).sum())
    fractures = int(((f.time <= days) & (f.event == 1)).sum())
    mean = None if risk is None else float(risk.mean())
    no_risk = f"the predictions hold no risk within {years} years (risk_{years}y) of every row"
    if reason := _too_few(at_risk, fractures, days):
        return Horizon(
            days=days,
            at_risk=at_risk,
            fractures=fractures,
            mean_predicted=mean,
            brier_null=None,
            accuracy=None,
            groups=(),
            **dict.fromkeys(
                ("auc", "observed", "observed_to_predicted", "brier"), undefined(reason)
            ),
        )
    curve = kaplan_meier(f.time, f.event, f.level)
    observed = _observed(curve, days, f.several)
    auc = dynamic_auc(f.time, f.event, f.score, [days], patient=f.patient, level=f.level)
    found = None
    if risk is not None:
        free = 1 - risk[:, None]
        found = survival_brier(f.time, f.event, free, [days], patient=f.patient, level=f.level)
    return Horizon(
        days=days,
        at_risk=at_risk,
        fractures=fractures,
        auc=_one(auc.auc, auc.low, auc.high, auc.undefined[0]),
        observed=observed,
        mean_predicted=mean,
        observed_to_predicted=_ratio(observed, mean, no_risk),
        brier=_one(found.brier, found.low, found.high, found.undefined[0])
        if found
        else undefined(no_risk),
        brier_null=_number(found.null) if found else None,
        accuracy=_number(found.accuracy) if found else None,
        groups=() if risk is None else _groups(f, risk, days, fractures),
    )


def _too_few(at_risk: int, fractures: int, days: int) -> str | None:
    if at_risk < AT_RISK:
        return f"{at_risk} are followed up to day {days}: at least {AT_RISK} are needed"
    if fractures < FRACTURES:
        return f"{fractures} fractures up to day {days}: at least {FRACTURES} are needed"
    return None


def _observed(curve: KaplanMeier, days: int, several: str | None) -> Estimate:
    """1 - Kaplan-Meier at a day, with its interval."""
    value = float(curve.at([days])[0])
    if np.isnan(value):
        return undefined(f"nobody is followed up to day {days}")
    before = np.flatnonzero(curve.times <= days)
    if not before.size or not curve.events[before].any():
        return Estimate(value=1 - value, undefined="no fracture yet: the interval has no width")
    low, high = 1 - curve.high[before[-1]], 1 - curve.low[before[-1]]
    if several or np.isnan(low):
        return Estimate(value=1 - value, undefined=several or curve.undefined)
    method = "Kaplan-Meier, log-log"
    return Estimate(value=1 - value, low=float(low), high=float(high), method=method)


def _ratio(observed: Estimate, mean: float | None, no_risk: str) -> Estimate:
    if mean is None:
        return undefined(no_risk)
    if observed.value is None or not mean:
        return undefined(observed.undefined or "the predicted risks are all 0")
    if observed.low is None or observed.high is None:
        return Estimate(value=observed.value / mean, undefined=observed.undefined)
    low, high = observed.low / mean, observed.high / mean
    method = f"{observed.method}; the predicted taken as known"
    return Estimate(value=observed.value / mean, low=low, high=high, method=method)


def _groups(
    f: Followed, risk: NDArray[np.float64], days: int, fractures: int
) -> tuple[RiskGroup, ...]:
    """Neighbours in predicted risk; equal risks are never parted."""
    wanted = max(1, min(GROUPS, fractures // IN_GROUP))
    edges = np.quantile(risk, np.arange(1, wanted) / wanted)
    place = np.searchsorted(edges, risk, "left")  # up to an edge belongs below it
    found = []
    for g in np.unique(place):
        rows = place == g
        curve = kaplan_meier(f.time[rows], f.event[rows], f.level)
        found.append(
            RiskGroup(
                n=int(rows.sum()),
                mean_predicted=float(risk[rows].mean()),
                observed=_observed(curve, days, f.several),
            )
        )
    return tuple(found)


def _one(
    value: NDArray[np.float64],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    reason: str | None,
) -> Estimate:
    """The only element of a statistic over times."""
    found = [_number(x) for x in (value, low, high)]
    if found[0] is None:
        return undefined(reason or "undefined")
    method = "infinitesimal jackknife over patients" if found[1] is not None else ""
    return Estimate(value=found[0], low=found[1], high=found[2], method=method, undefined=reason)


def _number(values: NDArray[np.float64]) -> float | None:
    return None if np.isnan(values[0]) else float(values[0])
