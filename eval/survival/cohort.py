"""Fractures in metrics.json: one model's score against what happened to a cohort's patients.

The score is the logit where each row has one (a survival model's log risk), else the probability.
Predicted risks are the columns ``risk_1y`` ... of the predictions: a model of low bone mass has
none, so it is ranked and not calibrated here. Rows of one patient count as one in every interval,
and Kaplan-Meier curves, whose interval knows no patients, then go without.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from eval.estimate import Estimate, undefined
from eval.frames import Frame
from eval.survival.concordance import Concordance, harrell_c, uno_c
from eval.survival.followup import FollowUp
from eval.survival.horizons import YEARS, Followed, horizon
from eval.survival.kaplan import kaplan_meier
from eval.survival.shapes import Curve, FractureMetrics, Horizon, RiskGroup, Third
from eval.survival.thirds import curves

if TYPE_CHECKING:
    from eval.cohort import Settings

__all__ = ["Curve", "FractureMetrics", "Horizon", "RiskGroup", "Third", "fracture_metrics"]

#: Uno's weights are 1 / G^2: beyond the day at which fewer are followed they are a few people's.
FOLLOWED = 10
SEVERAL = "some patients have several pictures, and this interval takes each for a patient"


def fracture_metrics(frame: Frame, settings: Settings) -> FractureMetrics | None:
    """What one model's scores say of fractures; None where no row has follow-up.

    Args:
        frame: one model's rows, as `schema.check_predictions` gives them: key, patient,
            probability, logit, fracture, followup_days, risk_1y ...; a row without fracture or
            followup_days has no follow-up.
        settings: the confidence level is used.

    Raises:
        ValueError: a fracture that is not 0 or 1, days that are negative or infinite, a risk that
            is not in [0, 1], or risks that fall with time; names rows.
    """
    known = frame[frame["fracture"].notna() & frame["followup_days"].notna()]
    if not len(known):
        return None
    _check(known)
    event = known["fracture"].to_numpy(np.int64)
    time = known["followup_days"].to_numpy(np.float64)
    patient = np.unique(known["patient"].to_numpy(str), return_inverse=True)[1]
    score = _score(known)
    several = SEVERAL if np.unique(patient).size < patient.size else None
    followed = Followed(time, event, score, patient, settings.confidence, several)
    until = _followed_until(FollowUp.of(time, event))
    days, thirds, reason = curves(followed)
    level = settings.confidence
    harrell = harrell_c(time, event, score, patient, level)
    return FractureMetrics(
        n=len(known),
        patients=int(np.unique(patient).size),
        without_followup=len(frame) - len(known),
        fractures=int(event.sum()),
        followup_median_days=_median(followed),
        harrell_c=_estimate(harrell),
        uno_c=_uno(followed, until),
        uno_days=until,
        horizons=tuple(horizon(followed, year, _risks(known, year)) for year in YEARS),
        days=days,
        curves=thirds,
        curves_undefined=reason,
    )


def _check(known: Frame) -> None:
    def refuse(bad: Any, what: str, fix: str) -> None:
        if bad.any():
            keys = ", ".join(known.loc[bad, "key"].astype(str).head(3))
            raise ValueError(f"{int(bad.sum())} rows {what}, such as of {keys}: {fix}")

    days = known["followup_days"]
    refuse(
        ~known["fracture"].isin([0, 1]),
        "with a fracture that is not 0 or 1",
        "1 where follow-up ended with a first fracture, 0 where it ended without",
    )
    refuse(
        ~np.isfinite(days) | (days < 0),
        "with followup_days that are negative or infinite",
        "count from the picture, and leave both cells empty where there is no follow-up",
    )
    before = None
    for year in YEARS:
        risk = known[f"risk_{year}y"]
        fix = "it is the probability of a fracture within that time, empty if unknown"
        refuse(risk.notna() & ~risk.between(0, 1), f"with a risk_{year}y outside of 0 to 1", fix)
        if before is not None:
            refuse(risk < before - 1e-9, f"with a risk_{year}y below that of fewer years", fix)
        before = risk if before is None else risk.fillna(before)


def _score(known: Frame) -> NDArray[np.float64]:
    """Higher for an earlier fracture, float [n]."""
    logit = known["logit"].to_numpy(np.float64)
    return logit if np.isfinite(logit).all() else known["probability"].to_numpy(np.float64)


def _risks(known: Frame, year: int) -> NDArray[np.float64] | None:
    """Predicted risks at a horizon, float [n]; None unless every row has one."""
    risk = known[f"risk_{year}y"].to_numpy(np.float64)
    return None if np.isnan(risk).any() else risk


def _followed_until(seen: FollowUp) -> int | None:
    """The last day at which `FOLLOWED` rows are followed still."""
    enough = np.flatnonzero(seen.at_risk >= FOLLOWED)
    return int(seen.times[enough[-1]]) if enough.size else None


def _uno(followed: Followed, until: int | None) -> Estimate:
    if not until:
        return undefined(f"never {FOLLOWED} followed beyond the day of the picture")
    f = followed
    return _estimate(uno_c(f.time, f.event, f.score, until, patient=f.patient, level=f.level))


def _estimate(c: Concordance) -> Estimate:
    return Estimate(
        value=c.value,
        low=c.low,
        high=c.high,
        method="infinitesimal jackknife over patients, logit scale" if c.low is not None else "",
        undefined=c.undefined,
    )


def _median(followed: Followed) -> Estimate:
    """Reverse Kaplan-Meier (Schemper & Smith 1996), with Brookmeyer and Crowley's interval."""
    curve = kaplan_meier(followed.time, 1 - followed.event, followed.level)
    middle = curve.quantile(0.5)
    if middle is None:
        return undefined("so many broke that the median of being followed is not reached")
    if followed.several:
        return Estimate(value=middle, undefined=followed.several)
    low, high = (np.flatnonzero(limit <= 0.5) for limit in (curve.low, curve.high))
    if not low.size or not high.size:
        return Estimate(value=middle, undefined="the interval has no upper end in this follow-up")
    return Estimate(
        value=middle,
        low=float(curve.times[low[0]]),
        high=float(curve.times[high[0]]),
        method="reverse Kaplan-Meier, log-log",
    )
