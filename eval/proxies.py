"""The proxy labels: whom the teacher labelled, whom it dropped, and how that shifts the sample.

A confidence filter does not keep a fair sample. The two tables say who was offered and who was
kept, and how common low bone mass is among the kept beside where DXA was done.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data_sharding.schema import CLASSES
from eval.cohort import Metrics
from eval.frames import Column, Frame
from eval.subgroups import AGE_BANDS, SEXES, age_band

DECISIONS = ("normal", "low bone mass", "dropped")


@dataclass(frozen=True)
class Counts:
    """One column of the table of decisions."""

    name: str
    n: int
    women: int
    men: int
    age_mean: float | None
    age_sd: float | None
    bands: dict[str, int]


@dataclass(frozen=True)
class Shift:
    """Low bone mass in one group: proxies kept, called positive, and the share where DXA exists."""

    group: str
    kept: int
    positive: int
    share: float | None
    dxa_share: float | None
    dxa_n: int | None


def decisions(frame: Frame) -> list[Counts]:
    """Everybody offered, then each decision.

    Args:
        frame: pseudo_labels.parquet with columns decision, age, sex.
    """
    band = age_band(frame["age"])
    groups: dict[str, Column] = {"all offered": np.ones(len(frame), bool)}
    groups |= {d: frame["decision"] == d for d in DECISIONS}
    return [_counts(name, frame[rows], band[rows]) for name, rows in groups.items()]


def _counts(name: str, frame: Frame, band: Column) -> Counts:
    age = frame["age"].dropna().astype(float)
    counted = band.value_counts()
    return Counts(
        name=name,
        n=len(frame),
        women=int((frame["sex"] == "F").sum()),
        men=int((frame["sex"] == "M").sum()),
        age_mean=float(age.mean()) if len(age) else None,
        age_sd=float(age.std(ddof=1)) if len(age) > 1 else None,
        bands={b: int(counted.get(b, 0)) for b in (*AGE_BANDS, "under 50", "unknown")},
    )


def shift(frame: Frame, labelled: Metrics | None) -> list[Shift]:
    """Share of low bone mass among kept proxies, beside the DXA share of a labelled cohort.

    Args:
        frame: as for `decisions`.
        labelled: the cohort to compare with, if there is one.
    """
    kept = frame[frame["decision"].isin(CLASSES)]
    sex, band = kept["sex"].map(SEXES.get), age_band(kept["age"])
    groups: dict[str, Column] = {"everybody": np.ones(len(kept), bool)}
    groups |= {name: sex == name for name in SEXES.values()}
    groups |= {name: band == name for name in AGE_BANDS}
    reference = _reference(labelled)
    rows = []
    for group, members in groups.items():
        n, positive = int(members.sum()), int((kept["decision"][members] == CLASSES[1]).sum())
        share, size = reference.get(group, (None, None))
        rows.append(Shift(group, n, positive, positive / n if n else None, share, size))
    return rows


def _reference(labelled: Metrics | None) -> dict[str, tuple[float | None, int]]:
    """Group -> DXA prevalence and size, as metrics.json has them."""
    if labelled is None or not labelled.models:
        return {}
    model = labelled.models[0]
    groups = {s.level: s.performance for s in model.subgroups if s.by in ("sex", "age")}
    found = groups | {"everybody": model.overall}
    return {name: (p.prevalence.value, p.n) for name, p in found.items() if p is not None}
