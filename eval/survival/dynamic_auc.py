"""Who breaks within a time, against who does not: the cumulative/dynamic AUROC.

At each time t the cases have had their fracture and the controls are followed beyond t without
one; those censored before t are neither, and are made up for by weighing each case by 1 / G(T-)
(Uno et al., JASA 2007; Hung & Chiang, Can J Stat 2010). The weight of controls, 1 / G(t), is the
same for all and cancels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eval.survival.censoring import Censoring, grid, status
from eval.survival.followup import FollowUp, column, ranks
from eval.survival.influence import codes, deviate, error, limits, through_g
from eval.survival.kaplan import kaplan_meier


@dataclass(frozen=True)
class DynamicAUC:
    """An AUROC at each of `times` [k]; all arrays are as long, NaN where undefined.

    cases, controls: patients known to be either.
    mean: over the times, weighted by how far the Kaplan-Meier curve falls up to each from the one
        before; None where one of them is undefined or nobody breaks.
    undefined: for each time why there is no number, or why it has no interval, or None.
    """

    times: NDArray[np.float64]
    auc: NDArray[np.float64]
    error: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    cases: NDArray[np.int64]
    controls: NDArray[np.int64]
    mean: float | None
    undefined: tuple[str | None, ...]


def dynamic_auc(
    time: ArrayLike,
    event: ArrayLike,
    score: ArrayLike,
    times: ArrayLike,
    reference: FollowUp | None = None,
    patient: ArrayLike | None = None,
    level: float = 0.95,
) -> DynamicAUC:
    """AUROC at each time, with an interval; a `reference` is taken as known.

    Args:
        time: float [n], at least 0.
        event: 0 or 1, [n].
        score: finite float [n], higher for an earlier fracture.
        times: float [k], positive, ascending.
        reference: whose censoring is G; by default these patients'.
        patient: [n], who each row is of; without it every row is a patient.
        level: of the pointwise two-sided interval, in (0, 1).

    Raises:
        ValueError: as `FollowUp.of` and `grid`; a score is not finite; the lengths differ.
    """
    seen, at = FollowUp.of(time, event), grid(times)
    rank, _ = ranks(column(score, seen.n, "score"))
    code, z = codes(patient, seen.n), deviate(level)
    censoring = Censoring.of(reference or seen)
    auc, spread = np.full((2, at.size), np.nan)
    cases, controls = np.zeros((2, at.size), dtype=np.int64)
    reasons: list[str | None] = []
    for k, t in enumerate(at):
        now = status(seen, censoring, float(t))
        cases[k], controls[k] = now.case.sum(), now.control.sum()
        reason = None if now.case.any() else f"no fracture up to {t:g}"
        reason = reason or (None if now.control.any() else f"nobody is followed beyond {t:g}")
        reason = reason or now.undefined
        if not reason:
            weight = now.weight * now.case
            auc[k], influence = _auroc(rank, weight, now.control.astype(np.float64))
            if reference is None:
                influence += through_g(seen, influence * now.case, now.steps)
            spread[k] = error(influence, code)
            if spread[k] < 1e-12:
                spread[k] = np.nan
                reason = "the sample shows no variance, as where every case is above every control"
        reasons.append(reason)
    mean = None
    if not np.isnan(auc).any():
        fall = -np.diff(kaplan_meier(time, event).at(at), prepend=1.0)
        mean = float(auc @ fall / fall.sum())
    return DynamicAUC(
        at, auc, spread, *limits(auc, spread, z), cases, controls, mean, tuple(reasons)
    )


def _auroc(
    rank: NDArray[np.int64], case: NDArray[np.float64], control: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64]]:
    """AUROC of weighted cases and controls [n], and the influence of each row on it [n]."""
    up, down = np.bincount(rank, case), np.bincount(rank, control)
    below = np.cumsum(down) - down / 2  # weight of controls below, half of those at the score
    above = up.sum() - np.cumsum(up) + up / 2
    value = float(up @ below / (up.sum() * down.sum()))
    influence = case / up.sum() * (below[rank] / down.sum() - value)
    return value, influence + control / down.sum() * (above[rank] / up.sum() - value)
