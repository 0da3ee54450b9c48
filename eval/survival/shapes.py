"""What metrics.json says of fractures: the shapes, which `eval.survival.cohort` fills.

Every number is an `Estimate` or a count; what does not exist says why. Days are whole days from the
picture; a year is 365 of them.
"""

from __future__ import annotations

from typing import Literal

from data_sharding.schema import Strict
from eval.estimate import Estimate

Third = Literal["low", "middle", "high"]


class RiskGroup(Strict):
    """Neighbours in predicted risk at one horizon: what was said of them, and what came."""

    n: int
    mean_predicted: float
    observed: Estimate


class Horizon(Strict):
    """How well fractures up to one time after the picture were foreseen.

    at_risk: rows followed up to it without a fracture before; fractures: rows with one up to it.
    auc: of those broken by then against those followed beyond (cumulative/dynamic, IPCW).
    observed: 1 - Kaplan-Meier; mean_predicted: mean of the predicted risks, None without any.
    observed_to_predicted: their ratio; the interval takes the predicted as known.
    brier: IPCW; brier_null: of the Kaplan-Meier curve, which says the same of everybody;
    accuracy: 1 - brier / brier_null, below 0 is worse than no model.
    groups: calibration, lowest predicted risk first; () without predicted risks.
    """

    days: int
    at_risk: int
    fractures: int
    auc: Estimate
    observed: Estimate
    mean_predicted: float | None
    observed_to_predicted: Estimate
    brier: Estimate
    brier_null: float | None
    accuracy: float | None
    groups: tuple[RiskGroup, ...]


class Curve(Strict):
    """Kaplan-Meier of a third of the rows by predicted risk, at the `days` of `FractureMetrics`.

    Tuples are as long as `days`. survival, low, high: None after the last of them was seen; low and
    high also where the interval does not exist (`undefined` says why).
    """

    third: Third
    n: int
    fractures: int
    survival: tuple[float | None, ...]
    low: tuple[float | None, ...]
    high: tuple[float | None, ...]
    at_risk: tuple[int, ...]
    undefined: str | None = None


class FractureMetrics(Strict):
    """One model's score against the fractures of one cohort.

    n: rows with follow-up; without_followup: rows without, which nothing here uses.
    followup_median_days: of being followed, by the reverse Kaplan-Meier method.
    uno_c is of fractures before uno_days, the last day at which enough are followed.
    horizons: 1, 2, 3 and 5 years, all of them, with reasons where too few are followed.
    days, curves: every 30 days from 0; three curves by third of risk, or () with the reason in
    curves_undefined.
    """

    n: int
    patients: int
    without_followup: int
    fractures: int
    followup_median_days: Estimate
    harrell_c: Estimate
    uno_c: Estimate
    uno_days: int | None
    horizons: tuple[Horizon, ...]
    days: tuple[int, ...]
    curves: tuple[Curve, ...]
    curves_undefined: str | None = None
