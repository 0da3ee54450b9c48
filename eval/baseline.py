"""Who was studied: the baseline table of one cohort, one row of facts per patient."""

from __future__ import annotations

import numpy as np

from data_sharding.schema import SEVERITIES, Strict
from eval.frames import Column, Frame
from eval.subgroups import AGE_BANDS, age_band


class Quantity(Strict):
    """Mean and standard deviation (n - 1) of the patients where it is known; None below 1, 2."""

    known: int
    mean: float | None
    sd: float | None


class Baseline(Strict):
    """Counts and means over patients; a patient's first key speaks for the patient."""

    pictures: int
    patients: int
    women: int
    men: int
    sex_unknown: int
    age_years: Quantity
    age_bands: dict[str, int]
    height_cm: Quantity
    weight_kg: Quantity
    bmi: Quantity
    lowest_t: Quantity
    normal: int
    low_bone_mass: int
    unlabelled: int
    severities: dict[str, int]


def baseline(frame: Frame) -> Baseline:
    """Describe the people in a cohort.

    Args:
        frame: predictions of any number of models; a key counts once however many saw it.
    """
    pictures = frame.drop_duplicates("key").sort_values("key")
    people = pictures.drop_duplicates("patient")
    metres = people["height_cm"] / 100
    bands = age_band(people["age"]).value_counts()
    names = [*AGE_BANDS, *(b for b in ("under 50", "unknown") if b in bands)]
    return Baseline(
        pictures=len(pictures),
        patients=len(people),
        women=int((people["sex"] == "F").sum()),
        men=int((people["sex"] == "M").sum()),
        sex_unknown=int((~people["sex"].isin(["F", "M"])).sum()),
        age_years=_quantity(people["age"]),
        age_bands={name: int(bands.get(name, 0)) for name in names},
        height_cm=_quantity(people["height_cm"]),
        weight_kg=_quantity(people["weight_kg"]),
        bmi=_quantity(people["weight_kg"] / (metres * metres)),
        lowest_t=_quantity(people["lowest_t"]),
        normal=int((people["label"] == 0).sum()),
        low_bone_mass=int((people["label"] == 1).sum()),
        unlabelled=int(people["label"].isna().sum()),
        severities={s: int((people["severity"] == s).sum()) for s in SEVERITIES},
    )


def _quantity(column: Column) -> Quantity:
    values = column.to_numpy(float, na_value=np.nan)
    values = values[np.isfinite(values)]
    return Quantity(
        known=values.size,
        mean=float(values.mean()) if values.size else None,
        sd=float(values.std(ddof=1)) if values.size > 1 else None,
    )
