"""Kaplan-Meier: the share without a fracture, with intervals and numbers at risk.

Kaplan & Meier (JASA 1958); variance of Greenwood (1926). The interval is by default on the scale
of log(-log S), which stays within 0 and 1 (Kalbfleisch & Prentice 1980); ``log`` is the default of
R's ``survfit``, ``plain`` is Greenwood's symmetric one. Patients last seen at the time of a
fracture are at risk of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm

from eval.survival.followup import FollowUp, slack, step

Scale = Literal["log-log", "log", "plain"]


@dataclass(frozen=True)
class KaplanMeier:
    """A curve over the distinct times [k] at which somebody left, by a fracture or not.

    survival: the share without a fracture just after each time.
    error: Greenwood's standard error of it.
    low, high: its interval; NaN where the share is 0 and the interval is not defined.
    undefined: why there is no curve (k is 0), or why a part of the interval is missing.
    """

    times: NDArray[np.float64]
    at_risk: NDArray[np.int64]
    events: NDArray[np.int64]
    censored: NDArray[np.int64]
    survival: NDArray[np.float64]
    error: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    scale: Scale
    level: float
    undefined: str | None = None

    def at(self, times: ArrayLike) -> NDArray[np.float64]:
        """Share without a fracture at any `times`; NaN after the last patient was last seen.

        Where the last patient leaves by a fracture the share is 0 from then on.
        """
        share = step(self.times, self.survival, 1.0, times)
        if not self.times.size:
            return np.full(share.shape, np.nan)
        past = np.asarray(times, dtype=np.float64) > self.times[-1] + slack(self.times)
        return np.where(past & (share > 0), np.nan, share)

    def numbers_at_risk(self, times: ArrayLike) -> NDArray[np.int64]:
        """Patients still followed at each of `times`, for the table below the curve."""
        when = np.asarray(times, dtype=np.float64) - slack(self.times)
        place = np.searchsorted(self.times, when, "left")
        return np.append(self.at_risk, 0)[place]

    def quantile(self, share: float = 0.5) -> float | None:
        """The first time at which the curve is at or below `share`; None if it never is.

        A curve that runs exactly at `share` up to its next step has its quantile in the middle of
        that stretch, as R's ``quantile.survfit`` and most textbooks have it.
        """
        if not 0 < share < 1:
            raise ValueError(f"a share of {share} is not between 0 and 1")
        below = np.flatnonzero(self.survival <= share + 1e-9)
        if not below.size:
            return None
        i = int(below[0])
        lower = np.flatnonzero(self.survival < share - 1e-9)
        if self.survival[i] < share - 1e-9 or not lower.size:
            return float(self.times[i])
        return float((self.times[i] + self.times[lower[0]]) / 2)

    def restricted_mean(self, horizon: float) -> float | None:
        """Area under the curve from 0 to `horizon`: mean fracture-free time within it.

        None where nobody was followed as far and the curve is not 0.
        """
        if not horizon > 0:
            raise ValueError(f"a horizon of {horizon} is not above 0")
        if np.isnan(self.at(horizon)):
            return None
        inside = self.times < horizon
        edges = np.concatenate([[0.0], self.times[inside], [horizon]])
        return float(np.diff(edges) @ np.append(1.0, self.survival[inside]))


def kaplan_meier(
    time: ArrayLike, event: ArrayLike, level: float = 0.95, scale: Scale = "log-log"
) -> KaplanMeier:
    """Estimate the curve.

    Args:
        time: float [n], at least 0.
        event: 0 or 1, [n].
        level: of the pointwise two-sided interval, in (0, 1).
        scale: see the module.

    Raises:
        ValueError: as `FollowUp.of`, or the level or scale is not one.
    """
    if scale not in get_args(Scale):
        raise ValueError(f"scale {scale!r}: choose one of {', '.join(get_args(Scale))}")
    if not 0 < level < 1:
        raise ValueError(f"a level of {level} is not between 0 and 1")
    seen = FollowUp.of(time, event)
    d, n = seen.events.astype(np.float64), seen.at_risk
    survival = np.cumprod(1 - d / n, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = np.sqrt(np.cumsum(d / (n * (n - d))))  # error of log S
        error = np.multiply(survival, relative, dtype=np.float64)
        low, high = _limits(survival, relative, float(norm.ppf(0.5 + level / 2)), scale)
    reason = None if seen.n else "nobody was followed"
    if (survival == 0).any():
        error[survival == 0] = low[survival == 0] = high[survival == 0] = np.nan
        reason = "the interval at a share of 0: the variance has no finite estimate there"
    return KaplanMeier(
        seen.times, n, seen.events, seen.censored, survival, error, low, high, scale, level, reason
    )


def _limits(s: NDArray, relative: NDArray, z: float, scale: Scale) -> tuple[NDArray, NDArray]:
    if scale == "plain":
        low, high = s - z * s * relative, s + z * s * relative
    elif scale == "log":
        low, high = s * np.exp(-z * relative), s * np.exp(z * relative)
    else:
        width = np.exp(z * relative / np.abs(np.log(s)))
        low, high = s**width, s ** (1 / width)
        low[s == 1] = high[s == 1] = 1.0
    return np.clip(low, 0, 1), np.clip(high, 0, 1)
