"""Who was studied: Table 1 of one cohort, one row of facts per patient.

Those with a negative label (`normal`) and a positive one (`low_bone_mass`, whatever the run learnt)
are set side by side with the tests that such tables use: Welch's t for means, Pearson's chi-squared
(without Yates) for shares, and standardised differences, which do not grow with the number of
patients. No p is corrected: the table describes, it proves nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
from numpy.typing import NDArray

from data_sharding.schema import Strict
from eval.contrast import Contrast, of_means, of_shares
from eval.frames import Frame
from eval.subgroups.levels import UNKNOWN, Levels, bmi, levels
from eval.subgroups.suppression import hidden


class Quantity(Strict):
    """Mean and standard deviation (n - 1) of the patients where it is known; None below 1, 2."""

    known: int
    mean: float | None
    sd: float | None
    kept_back: bool = False


class Measure(Strict):
    """One row of means: of everybody, and of those with each label."""

    name: str
    unit: str
    everybody: Quantity
    normal: Quantity
    low_bone_mass: Quantity
    contrast: Contrast


class Level(Strict):
    """Patients at one level; all None where kept back (`Settings.smallest_group`)."""

    level: str
    everybody: int | None
    normal: int | None
    low_bone_mass: int | None


class Split(Strict):
    """One characteristic with levels; those not known are the level "unknown", and not tested."""

    name: str
    levels: tuple[Level, ...]
    contrast: Contrast


class Baseline(Strict):
    """Patients, each counted once; a patient's first key speaks for the patient.

    - measures: age, height, weight, BMI, lowest T-score; those that are known of somebody.
    - splits: sex, age, BMI, severity, site, vendor; those that are known of somebody.
    """

    pictures: int
    patients: int
    normal: int
    low_bone_mass: int
    unlabelled: int
    measures: tuple[Measure, ...] = ()
    splits: tuple[Split, ...] = ()

    def measure(self, name: str) -> Quantity:
        """Everybody's mean and SD by name, of nobody where it is not known."""
        found = [m.everybody for m in self.measures if m.name == name]
        return found[0] if found else Quantity(known=0, mean=None, sd=None)

    def counts(self, name: str) -> dict[str, int | None]:
        """Everybody's counts by level; {} where the characteristic is not known."""
        return {r.level: r.everybody for s in self.splits if s.name == name for r in s.levels}

    @property
    def age_years(self) -> Quantity:
        """Everybody's age."""
        return self.measure("age")

    @property
    def height_cm(self) -> Quantity:
        """Everybody's height."""
        return self.measure("height")

    @property
    def weight_kg(self) -> Quantity:
        """Everybody's weight."""
        return self.measure("weight")

    @property
    def lowest_t(self) -> Quantity:
        """Everybody's lowest T-score."""
        return self.measure("lowest T-score")

    @property
    def sex_unknown(self) -> int | None:
        """Patients whose sex is not known; None where their number is kept back."""
        counts = self.counts("sex")
        return counts.get(UNKNOWN, 0) if counts else self.patients


Sides = tuple[NDArray[np.bool_], NDArray[np.bool_]]


def baseline(
    frame: Frame, least: int = 5, kept_back: Mapping[str, Collection[str]] | None = None
) -> Baseline:
    """Describe the people in a cohort.

    Args:
        frame: predictions of any number of models; a key counts once however many saw it.
        least: a level of fewer patients is kept back.
        kept_back: characteristic -> levels that are kept back for another reason.
    """
    pictures = frame.drop_duplicates("key").sort_values("key")
    people = pictures.drop_duplicates("patient")
    label = people["label"].to_numpy(float, na_value=np.nan)
    sides = label == 0, label == 1
    measures = {
        ("age", "years"): people["age"],
        ("height", "cm"): people["height_cm"],
        ("weight", "kg"): people["weight_kg"],
        ("BMI", "kg/m²"): bmi(people),
        ("lowest T-score", "SD"): people["lowest_t"],
    }
    return Baseline(
        pictures=len(pictures),
        patients=len(people),
        normal=int(sides[0].sum()),
        low_bone_mass=int(sides[1].sum()),
        unlabelled=int(np.isnan(label).sum()),
        measures=tuple(
            _measure(*name, values, sides, least)
            for name, column in measures.items()
            if np.isfinite(values := column.to_numpy(float, na_value=np.nan)).any()
        ),
        splits=tuple(
            _split(s, sides, least, (kept_back or {}).get(s.name, ()))
            for s in levels(people)
            if s.known
        ),
    )


def _measure(
    name: str, unit: str, values: NDArray[np.float64], sides: Sides, least: int
) -> Measure:
    """Means of fewer than `least` are kept back, and those that such a one could be told from."""
    known = np.isfinite(values)
    each = [values[rows & known] for rows in sides]
    rest = values[known & ~sides[0] & ~sides[1]]  # of nobody's column: everybody less the others
    few = any(0 < part.size < least for part in (*each, rest))
    away = Quantity(known=0, mean=None, sd=None, kept_back=True)
    reason = f"kept back: fewer than {least} patients, or such a group could be told from it"
    return Measure(
        name=name,
        unit=unit,
        everybody=away if known.sum() < least else quantity(values[known]),
        normal=away if few else quantity(each[0]),
        low_bone_mass=away if few else quantity(each[1]),
        contrast=Contrast(test="Welch t", undefined=reason) if few else of_means(*each),
    )


def _split(split: Levels, sides: Sides, least: int, also: Collection[str]) -> Split:
    of = split.of.to_numpy()
    masks = {level: of == level for level in split.names}
    away = hidden({level: int(rows.sum()) for level, rows in masks.items()}, least, also)
    counts = {
        level: tuple(int(x.sum()) for x in (rows, rows & sides[0], rows & sides[1]))
        for level, rows in masks.items()
    }
    tested = [counts[level][1:] for level in split.names if level != UNKNOWN]
    return Split(
        name=split.name,
        levels=tuple(
            Level(level=level, everybody=None, normal=None, low_bone_mass=None)
            if level in away
            else Level(level=level, everybody=c[0], normal=c[1], low_bone_mass=c[2])
            for level, c in counts.items()
        ),
        contrast=of_shares(np.array(tested).T),
    )


def quantity(values: NDArray[np.float64]) -> Quantity:
    """Of finite values [n]."""
    return Quantity(
        known=values.size,
        mean=float(values.mean()) if values.size else None,
        sd=float(values.std(ddof=1)) if values.size > 1 else None,
    )
