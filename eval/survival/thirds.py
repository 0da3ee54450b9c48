"""Kaplan-Meier curves of the low, middle and high third of predicted risk, as a report draws them.

They are given every `EVERY` days, not at every day on which somebody left: a cohort of 100,000
would fill metrics.json, and no print shows the difference.
"""

from __future__ import annotations

from typing import get_args

import numpy as np
from numpy.typing import NDArray

from eval.survival.horizons import Followed
from eval.survival.kaplan import KaplanMeier, kaplan_meier
from eval.survival.shapes import Curve, Third

EVERY = 30  # days
LEAST = 10  # rows in a third
NAMES: tuple[Third, ...] = get_args(Third)


def curves(f: Followed) -> tuple[tuple[int, ...], tuple[Curve, ...], str | None]:
    """The days, a curve for each third, and why there are none if so."""
    edges = np.quantile(f.score, [1 / 3, 2 / 3])
    place = np.searchsorted(edges, f.score, "left")  # equal scores are never parted
    sizes = np.bincount(place, minlength=3)
    if (sizes == 0).any():
        return (), (), "the scores have too few different values for thirds"
    if (sizes < LEAST).any():
        return (), (), f"a third of {sizes.min()} rows: at least {LEAST} are needed"
    days = np.arange(0, int(f.time.max()) + 1, EVERY)
    found = []
    for g, name in enumerate(NAMES):
        rows = place == g
        curve = kaplan_meier(f.time[rows], f.event[rows], f.level)
        found.append(_curve(curve, name, days, f.several))
    return tuple(days.tolist()), tuple(found), None


def _curve(curve: KaplanMeier, name: Third, days: NDArray[np.int64], several: str | None) -> Curve:
    share = curve.at(days)
    step = np.searchsorted(curve.times, days, "right")
    low, high = (np.append(1.0, x)[step] for x in (curve.low, curve.high))
    hidden = np.isnan(share) | (several is not None)
    return Curve(
        third=name,
        n=int(curve.at_risk[0]),
        fractures=int(curve.events.sum()),
        survival=_shown(share),
        low=_shown(np.where(hidden, np.nan, low)),
        high=_shown(np.where(hidden, np.nan, high)),
        at_risk=tuple(curve.numbers_at_risk(days).tolist()),
        undefined=several or curve.undefined,
    )


def _shown(values: NDArray[np.float64]) -> tuple[float | None, ...]:
    return tuple(None if np.isnan(x) else float(x) for x in values)
