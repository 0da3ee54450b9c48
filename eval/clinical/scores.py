"""Reference scores that need no model: what an image model has to beat.

OST, the Osteoporosis Self-assessment Tool: 0.2 x (weight in kg - age in years), truncated towards
zero as published (Koh et al., Osteoporos Int 2001;12:699-705, for Asian women, OSTA). A lower score
is a higher risk. Bands: Koh's for Asian women (low above -1, high below -4) and those of Geusens et
al. (Mayo Clin Proc 2002;77:629-637) for white women (low above 1, high below -3).

Left out: ORAI, SCORE, OSIRIS and FRAX, which ask for oestrogen, earlier fractures or diseases that
no table here holds; without them they would be other scores under the same name.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Variant = Literal["truncated", "plain"]
Band = Literal["low", "moderate", "high", "unknown"]

#: (high risk below, low risk above), by the people they were made for.
BANDS = {"asian": (-4, -1), "white": (-3, 1)}


def ost(
    age: ArrayLike, weight_kg: ArrayLike, variant: Variant = "truncated"
) -> NDArray[np.float64]:
    """OST of each person [n]; NaN where age or weight is missing.

    Args:
        age: years, [n].
        weight_kg: kilograms, [n].
        variant: 'truncated' drops the decimals, as published; 'plain' keeps them.
    """
    years, weight = np.asarray(age, np.float64), np.asarray(weight_kg, np.float64)
    # rounded first: 0.2 * (70.1 - 65.1) is 1 and would be truncated to 0 as a float
    score = np.round((weight - years) / 5, 9)
    return score if variant == "plain" else np.trunc(score) + 0.0


def ost_risk(age: ArrayLike, weight_kg: ArrayLike) -> NDArray[np.float64]:
    """The plain OST with its sign turned, so that higher is more at risk; NaN where unknown.

    Truncation only adds ties, which cost ranking: the plain score is the harder one to beat.
    """
    return -ost(age, weight_kg, "plain")


def ost_band(
    age: ArrayLike, weight_kg: ArrayLike, people: Literal["asian", "white"] = "asian"
) -> NDArray[np.str_]:
    """Risk band of each person [n] by the truncated score: low, moderate, high or unknown."""
    high, low = BANDS[people]
    score = ost(age, weight_kg)
    known = np.isfinite(score)
    bands = [known & (score < high), known & (score > low), known]
    return np.select(bands, ["high", "low", "moderate"], "unknown")
