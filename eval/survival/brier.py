"""How far predicted shares without a fracture are from what happened: the IPCW Brier score.

BS(t) is the mean over all n patients of S(t)^2 / G(T-) for those broken up to t, of (1 - S(t))^2 /
G(t) for those followed beyond t, and of 0 for those censored before (Graf et al., Stat Med 1999).
It is given beside that of the Kaplan-Meier curve, which says the same of everybody: only what is
below it was learnt (Kattan & Gerds 2018: index of prediction accuracy).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eval.survival.censoring import Censoring, grid, status
from eval.survival.followup import FollowUp
from eval.survival.influence import codes, deviate, error, through_g
from eval.survival.kaplan import kaplan_meier


@dataclass(frozen=True)
class SurvivalBrier:
    """A score at each of `times` [k], NaN where undefined; 0 is perfect.

    null: of the Kaplan-Meier curve of these patients.
    accuracy: 1 - brier / null, the index of prediction accuracy; below 0 is worse than no model.
    integrated, integrated_null: trapezoids over the times, divided by their span; None for a
        single time or where one is undefined.
    undefined: for each time why there is no number, or why it has no interval, or None.
    """

    times: NDArray[np.float64]
    brier: NDArray[np.float64]
    error: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    null: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    integrated: float | None
    integrated_null: float | None
    undefined: tuple[str | None, ...]


def survival_brier(
    time: ArrayLike,
    event: ArrayLike,
    survival: ArrayLike,
    times: ArrayLike,
    reference: FollowUp | None = None,
    patient: ArrayLike | None = None,
    level: float = 0.95,
) -> SurvivalBrier:
    """Brier score at each time, with an interval; a `reference` is taken as known.

    Args:
        time: float [n], at least 0.
        event: 0 or 1, [n].
        survival: float [n, k] in [0, 1], predicted share without a fracture at each of `times`.
        times: float [k], positive, ascending.
        reference: whose censoring is G; by default these patients'.
        patient: [n], who each row is of; without it every row is a patient.
        level: of the pointwise two-sided interval, in (0, 1).

    Raises:
        ValueError: as `FollowUp.of` and `grid`; the predictions are not shares or not [n, k].
    """
    seen, at = FollowUp.of(time, event), grid(times)
    code, z = codes(patient, seen.n), deviate(level)
    share = np.asarray(survival, dtype=np.float64)
    if share.shape != (seen.n, at.size):
        raise ValueError(
            f"predictions {share.shape} must be (patients, times), ({seen.n}, {at.size})"
        )
    if not ((share >= 0) & (share <= 1)).all():
        raise ValueError("predictions must be shares without a fracture, in [0, 1]")
    censoring = Censoring.of(reference or seen)
    marginal = kaplan_meier(time, event).at(at)
    brier, spread, null = np.full((3, at.size), np.nan)
    reasons: list[str | None] = []
    for k, t in enumerate(at):
        now = status(seen, censoring, float(t))
        reason = now.undefined if seen.n else "nobody was followed"
        reasons.append(reason)
        if reason:
            continue
        loss = now.weight * (now.control - share[:, k]) ** 2
        brier[k] = loss.mean()
        influence = (loss - brier[k]) / seen.n
        if reference is None:
            influence += through_g(seen, loss / seen.n, now.steps)
        spread[k] = error(influence, code)
        if spread[k] < 1e-12:
            spread[k] = np.nan
            reasons[k] = (
                "the sample shows no variance, as where all predictions are equally far off"
            )
        null[k] = (now.weight * (now.control - marginal[k]) ** 2).mean()
    # on the scale of the logarithm: a weighted mean of squares is above 0, and can be above 1
    reach = z * np.divide(spread, brier, out=np.full(at.size, np.nan), where=brier > 0)
    return SurvivalBrier(
        times=at,
        brier=brier,
        error=spread,
        low=brier * np.exp(-reach),
        high=brier * np.exp(reach),
        null=null,
        accuracy=1 - np.divide(brier, null, out=np.full(at.size, np.nan), where=null > 0),
        integrated=_mean(brier, at),
        integrated_null=_mean(null, at),
        undefined=tuple(reasons),
    )


def _mean(value: NDArray[np.float64], at: NDArray[np.float64]) -> float | None:
    if at.size < 2 or np.isnan(value).any():
        return None
    return float(np.trapezoid(value, at) / (at[-1] - at[0]))
