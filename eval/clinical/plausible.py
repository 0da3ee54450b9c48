"""Units and the values that a living adult can have: what is outside is a typing error or a unit.

Inches, feet and metres are outside of `RANGES`; pounds are not, one by one, but a whole cohort in
pounds has a median BMI that no cohort has.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: feature -> unit
UNITS = {
    "age": "years",
    "sex": "0: F, 1: M",
    "height_cm": "cm",
    "weight_kg": "kg",
    "bmi": "kg/m2",
}
#: feature -> (least, most), both possible
RANGES = {
    "age": (18.0, 115.0),
    "sex": (0.0, 1.0),
    "height_cm": (100.0, 230.0),
    "weight_kg": (25.0, 300.0),
    "bmi": (10.0, 80.0),
}
#: No cohort's median BMI is outside of these; in pounds it would be near 55, in stones near 4.
MEDIAN_BMI = (15.0, 42.0)
#: What to do where most values are too small or too large by this factor.
LIKELY = {
    ("height_cm", "small"): "metres or inches? Give height in centimetres",
    ("height_cm", "large"): "millimetres? Give height in centimetres",
    ("weight_kg", "small"): "stones? Give weight in kilograms",
    ("weight_kg", "large"): "pounds or grams? Give weight in kilograms",
    ("age", "small"): "decades, or a child? Give age in years at the picture; adults only",
    ("age", "large"): "months or days? Give age in years at the picture",
}


def bmi(height_cm: ArrayLike, weight_kg: ArrayLike) -> NDArray[np.float64]:
    """kg/m2 [n]; NaN where height, weight or their quotient is missing or implausible."""
    height = blank("height_cm", np.asarray(height_cm, np.float64))
    weight = blank("weight_kg", np.asarray(weight_kg, np.float64))
    return blank("bmi", weight / (height / 100) ** 2)


def blank(feature: str, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The values [n], NaN where they are outside the feature's range."""
    low, high = RANGES[feature]
    with np.errstate(invalid="ignore"):
        return np.where((values >= low) & (values <= high), values, np.nan)


def refuse_implausible(columns: dict[str, NDArray[np.float64]], where: str) -> None:
    """Stop where a value cannot be, or where the units are wrong.

    Args:
        columns: feature -> float [n], NaN where missing.
        where: what the rows are, for the message.

    Raises:
        ValueError: a value outside its range, an infinite one, or a median BMI that betrays pounds.
    """
    for feature, values in columns.items():
        if feature == "bmi":
            continue
        bad = np.flatnonzero(~np.isnan(values) & np.isnan(blank(feature, values)))
        if bad.size:
            low, high = RANGES[feature]
            side = "small" if values[bad[0]] < low else "large"
            hint = LIKELY.get((feature, side), "correct or empty the cell")
            raise ValueError(
                f"{where}: {bad.size} of {int((~np.isnan(values)).sum())} values of {feature} are "
                f"outside {low:g} to {high:g} ({UNITS[feature]}), such as {values[bad[0]]:g} in "
                f"row {bad[0]}: {hint}"
            )
    if {"height_cm", "weight_kg"} <= set(columns):
        ratio = columns["weight_kg"] / (columns["height_cm"] / 100) ** 2
        ratio = ratio[~np.isnan(ratio)]
        middle = float(np.median(ratio)) if ratio.size else MEDIAN_BMI[0]
        if ratio.size >= 20 and not MEDIAN_BMI[0] <= middle <= MEDIAN_BMI[1]:
            raise ValueError(
                f"{where}: the median BMI of {ratio.size} rows is {middle:.1f} kg/m2, which no "
                "cohort has: weight in pounds? Give weight in kilograms and height in centimetres"
            )
