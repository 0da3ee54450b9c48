"""Which level of each characteristic a row has: sex, age, BMI, severity, site, vendor.

Age bands and severities are those of OsPenScreen, BMI bands those of the WHO (TRS 894, 2000).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data_sharding.schema import SEVERITIES
from eval.frames import Column, Frame

#: Name -> (youngest, oldest) in completed years, both included.
AGE_BANDS = {"50-54": (50, 54), "55-59": (55, 59), "60-64": (60, 64), "≥65": (65, 200)}
SEXES = {"F": "women", "M": "men"}
#: Name -> lowest kg/m2 of the band; it ends where the next begins.
BMI_BANDS = {"<18.5": 0.0, "18.5-24.9": 18.5, "25.0-29.9": 25.0, "≥30.0": 30.0}
UNKNOWN = "unknown"
#: Level of severity where the category says so; it has no grade.
OSTEOPOROSIS = "osteoporosis"
#: So many sites or vendors are told apart; the smallest of more are one level.
MOST = 20


@dataclass(frozen=True)
class Levels:
    """One characteristic.

    - name: as in `Subgroup.by`.
    - of: object [rows], the level of each row.
    - names: every level to list, in order; those expected of everybody even if nobody has them.
    """

    name: str
    of: Column
    names: tuple[str, ...]

    def where(self, rows: NDArray[np.bool_]) -> Levels:
        """Of the rows where the mask [rows] is true; the levels to list stay the same."""
        return replace(self, of=self.of[rows])

    @property
    def known(self) -> bool:
        """Whether somebody has another level than unknown."""
        return bool((self.of != UNKNOWN).any())

    @property
    def told_apart(self) -> int:
        """How many levels somebody has."""
        return int(self.of.nunique())


def levels(frame: Frame) -> tuple[Levels, ...]:
    """All characteristics of the rows [n] of a checked predictions frame."""
    severity = frame["severity"].astype(object).where(frame["severity"].isin(SEVERITIES))
    if "category" in frame:  # beyond the last grade, and not unknown
        sick = (frame["category"] == 2).fillna(False).astype(bool)
        severity = severity.mask(severity.isna() & sick, OSTEOPOROSIS)
    return (
        _expected("sex", frame["sex"].map(SEXES), tuple(SEXES.values())),
        _expected("age", age_band(frame["age"]), tuple(AGE_BANDS)),
        _expected("BMI", bmi_band(bmi(frame)), tuple(BMI_BANDS)),
        _expected("severity", severity, SEVERITIES),
        _found("site", frame["source"]),
        _found("vendor", frame["vendor"]),
    )


def age_band(age: Column) -> Column:
    """The band of each age in years, by completed years; 'under 50' and 'unknown' are bands too."""
    years: Column = np.floor(age.astype(float))
    band = pd.Series(UNKNOWN, index=age.index, dtype=object)
    band[years < 50] = "under 50"
    for name, (low, high) in AGE_BANDS.items():
        band[years.between(low, high)] = name
    return band


def bmi(frame: Frame) -> Column:
    """kg/m2 [n]; NaN where height or weight is not known, or neither can be true."""
    metres = frame["height_cm"].astype(float) / 100
    weight = frame["weight_kg"].astype(float)
    return (weight / (metres * metres)).where((metres > 0) & (weight > 0))


def bmi_band(values: Column) -> Column:
    """The band of each BMI in kg/m2, or unknown."""
    band = pd.Series(UNKNOWN, index=values.index, dtype=object)
    for name, lowest in BMI_BANDS.items():
        band[values >= lowest] = name
    return band


def _expected(name: str, column: Column, expected: tuple[str, ...]) -> Levels:
    """A characteristic whose levels are known beforehand, and what else there is."""
    of = column.astype(object).where(column.notna(), UNKNOWN)
    young, sick, unknown = (
        [x] if (of == x).any() else [] for x in ("under 50", OSTEOPOROSIS, UNKNOWN)
    )
    return Levels(name, of, (*young, *expected, *sick, *unknown))


def _found(name: str, column: Column) -> Levels:
    """A characteristic whose levels are whatever words there are, the most frequent first."""
    codes, found = pd.factorize(column.astype(object))
    # one more at the end, for code -1: missing
    clean = [*(str(word).strip()[:60] or UNKNOWN for word in found), UNKNOWN]
    words: Column = pd.Series(np.array(clean, dtype=object)[codes], index=column.index)
    counted = words[words != UNKNOWN].value_counts()
    ranked = sorted(counted.index, key=lambda w: (-counted[w], w))
    if len(ranked) > MOST:
        rest = f"{len(ranked) - MOST + 1} others"
        words = words.where(~words.isin(ranked[MOST - 1 :]), rest)
        ranked = [*ranked[: MOST - 1], rest]
    return Levels(name, words, (*ranked, *([UNKNOWN] if (words == UNKNOWN).any() else [])))
