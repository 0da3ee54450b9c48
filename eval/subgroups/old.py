"""The same model by sex, by age band and by severity: who is it worth less to?

Bands and severities are those of OsPenScreen. A group that nobody is in, or that has one class, is
listed with its count and its reason rather than left out.
"""

from __future__ import annotations

import numpy as np

from data_sharding.schema import SEVERITIES
from eval.estimate import undefined
from eval.frames import Frame
from eval.performance import Cases, performance, ranking, share
from eval.subgroups.levels import AGE_BANDS, SEXES, age_band
from eval.subgroups.shapes import SeverityBand, Subgroup


def by_sex_and_age(frame: Frame, cases: Cases) -> tuple[Subgroup, ...]:
    """Every expected level, and any other level that rows have.

    Args:
        frame: the labelled rows with columns sex and age, in the order of `cases`.
        cases: the same rows.
    """
    sex = frame["sex"].map(SEXES).fillna("unknown")
    levels = {"sex": (sex, list(SEXES.values())), "age": (age_band(frame["age"]), list(AGE_BANDS))}
    found = []
    for by, (column, expected) in levels.items():
        others = [level for level in ("under 50", "unknown") if (column == level).any()]
        for level in expected + others:
            rows = (column == level).to_numpy(bool)
            found.append(Subgroup(by=by, level=level, performance=performance(cases.where(rows))))
    return tuple(found)


def by_severity(frame: Frame, cases: Cases) -> tuple[SeverityBand, ...]:
    """Normal, mild, moderate, advanced; empty where the cohort states no severity at all."""
    severity = frame["severity"].astype(object).fillna("").to_numpy()
    if not np.isin(severity, SEVERITIES).any():
        return ()
    return tuple(_band(cases, severity == level, level) for level in SEVERITIES)


def _band(cases: Cases, rows: np.ndarray, level: str) -> SeverityBand:
    band = cases.where(rows)
    nobody = f"nobody here is {level}"
    if cases.threshold is None:
        accuracy = undefined("no threshold was frozen for this model")
    else:
        right = band.flagged == (band.label == 1)
        accuracy = share(band, right, np.ones(right.size, bool), nobody)
    if level == "normal":
        auroc = undefined("normal is what the other bands are compared with")
    elif not rows.any():
        auroc = undefined(nobody)
    else:
        auroc, _ = ranking(cases.where(rows | (cases.label == 0)))
    return SeverityBand(
        level=level,
        n=int(rows.sum()),
        patients=np.unique(band.patient).size,
        accuracy=accuracy,
        auroc_against_normal=auroc,
    )
