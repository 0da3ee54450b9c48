"""Is a recipe better than another, beyond the luck of seeds and of the patients at hand?

Each recipe is trained on r seeds and all models judge the same patients. Models of one recipe are
its readers and patients are cases, so this is a multi-reader, multi-case study with readers nested
in treatments (Obuchowski & Rockette, Commun Stat Simul Comput 1995; Hillis, Stat Med 2014, 33:330):

    gain = mean(best) - mean(default)
    variance = 2 / r (MS + r max(Cov2 - Cov3, 0))
    df = (MS + r max(Cov2 - Cov3, 0))^2 / (MS^2 / (2 (r - 1)))

MS is the variance between seeds within a recipe, Cov2 the mean covariance of two models of one
recipe and Cov3 of two of different ones, both over patients: DeLong's, components summed within
patients, or for a C the jackknife's. Nested, because the same seed makes no common luck of two
recipes' models (it would be paired, and with 3 seeds have 2 degrees of freedom instead of 4 and
more). With one model copied r times it is DeLong's paired test; with patients without end it is
Student's test of r against r.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel
from scipy.stats import t

from eval.delong import ZERO, covariance
from eval.survival.concordance import harrell_c
from training.followup import Followed

#: Patients are left out in so many groups, at most, for a C's jackknife.
GROUPS = 400
METHOD = "Obuchowski & Rockette, seeds nested in recipes, patients whole; Student's t"


class Gain(BaseModel):
    """The best's mean less the default's; `low` and `high` are None where `undefined` says why."""

    default: list[float]
    best: list[float]
    value: float
    low: float | None
    high: float | None
    df: float | None
    level: float
    patients: int
    n: int
    method: str = METHOD
    undefined: str = ""

    @property
    def verdict(self) -> str:
        """In words."""
        if self.low is not None and self.low > 0:
            return "better"
        if self.high is not None and self.high < 0:
            return "worse"
        return "not shown to be better"


def gain_in_auroc(
    label: ArrayLike, default: ArrayLike, best: ArrayLike, patient: ArrayLike, level: float = 0.95
) -> Gain:
    """Of AUROC.

    Args:
        label: 0 or 1, [n].
        default: float [r, n], scores of the one recipe's models.
        best: float [r, n], of the other's.
        patient: [n].
        level: of the interval.

    Raises:
        ValueError: a class has fewer than two patients.
    """
    scores = np.concatenate([np.atleast_2d(default), np.atleast_2d(best)])
    found, s = covariance(label, scores, patient)
    return gain(found, s, np.unique(np.asarray(patient)).size, scores.shape[1], level)


def gain_in_c(
    followed: Followed, default: ArrayLike, best: ArrayLike, patient: ArrayLike, level: float = 0.95
) -> Gain:
    """Of Harrell's C; scores and patients are of all n rows, of which `followed` says some.

    Raises:
        ValueError: nobody can be compared with anybody, or not without one group of patients.
    """
    rows = followed.rows
    scores = np.concatenate([np.atleast_2d(default), np.atleast_2d(best)])[:, rows]
    who = np.unique(np.asarray(patient)[rows], return_inverse=True)[1]

    def c(keep: NDArray[np.bool_]) -> list[float]:
        days, event = followed.days[keep], followed.event[keep]
        values = [harrell_c(days, event, z[keep]).value for z in scores]
        if any(v is None for v in values):
            raise ValueError("C: too few fractures to compare; pack more followed patients")
        return [float(v) for v in values if v is not None]

    group = who % GROUPS
    groups = int(group.max()) + 1
    left_out = np.array([c(group != g) for g in range(groups)])
    apart = left_out - left_out.mean(0)
    s = (groups - 1) / groups * apart.T @ apart
    found = np.array(c(np.ones(rows.size, bool)))
    return gain(found, s, int(who.max()) + 1, rows.size, level)


def gain(
    found: NDArray[np.float64], s: NDArray[np.float64], patients: int, n: int, level: float
) -> Gain:
    """The gain and its interval.

    Args:
        found: float [2 r], first the default's models' values, then the best's.
        s: float [2 r, 2 r], their covariance over patients.
        patients: who were judged, on
        n: pictures.
        level: of the interval.
    """
    r = found.size // 2
    # recipes: (recipe, seed); blocks: (recipe, seed, recipe, seed)
    recipes, blocks = found.reshape(2, r), s.reshape(2, r, 2, r)
    facts = {
        "default": recipes[0].tolist(),
        "best": recipes[1].tolist(),
        "value": float(recipes[1].mean() - recipes[0].mean()),
        "level": level,
        "patients": patients,
        "n": n,
    }
    if r < 2:
        why = "one seed tells nothing of the luck of seeds"
        return Gain(**facts, low=None, high=None, df=None, undefined=why)
    between = float(recipes.var(axis=1, ddof=1).mean())
    others = ~np.eye(r, dtype=bool)
    cov2 = float(np.mean([blocks[i, :, i][others].mean() for i in (0, 1)]))
    cov3 = float(blocks[0, :, 1].mean())
    whole = between + r * max(cov2 - cov3, 0.0)
    if whole <= ZERO:
        why = "the models do not differ in this sample"
        return Gain(**facts, low=None, high=None, df=None, undefined=why)
    df = whole**2 / (between**2 / (2 * (r - 1))) if between > ZERO else math.inf
    half = math.sqrt(2 / r * whole) * float(t.ppf(0.5 + level / 2, df))
    low, high = facts["value"] - half, facts["value"] + half
    return Gain(**facts, low=low, high=high, df=df if math.isfinite(df) else None)
