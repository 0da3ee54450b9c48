"""Proxy labels for the public set: every decision in a table.

OsPenScreen, Methods: a public picture is kept as normal when p(normal) >= .99 and as low bone mass
when p(low bone mass) >= .75, else it is dropped. The probabilities are the teacher's, temperature-
scaled on the tune split, for the thresholds act on them as if they were calibrated.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from data_sharding.schema import CLASSES
from training.config import Pseudo

DECISIONS = (*CLASSES, "dropped")
AGE_EDGES = (50, 55, 60, 65)
AGE_BANDS = ("below 50", "50-54", "55-59", "60-64", "65 and above")


def decide(probability: np.ndarray, thresholds: Pseudo) -> np.ndarray:
    """P(low bone mass) [N] -> decision [N], one of `DECISIONS`.

    Compared as 1 - p >= p_normal, in float64. Both classes cannot be reached at once: thresholds
    are above .5.

    Raises:
        ValueError: a probability that is not in [0, 1].
    """
    p = np.asarray(probability, np.float64)
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError("a probability is not in [0, 1]")
    kept_lbm = np.where(p >= thresholds.p_lbm, "low bone mass", "dropped")
    return np.where(1 - p >= thresholds.p_normal, "normal", kept_lbm)


def table(
    index: pd.DataFrame, probability: np.ndarray, thresholds: Pseudo, teacher_sha256: str
) -> pd.DataFrame:
    """One row a public picture: who, what the teacher said, what was decided, by which rule."""
    facts = {name: index[name] for name in ("key", "patient", "source", "age", "sex")}
    return pd.DataFrame(facts).assign(
        probability=probability,
        decision=decide(probability, thresholds),
        p_normal=thresholds.p_normal,
        p_lbm=thresholds.p_lbm,
        teacher_sha256=teacher_sha256,
    )


def summary(decided: pd.DataFrame) -> dict[str, Any]:
    """Counts by decision, also by sex, age band and source; proxy prevalence (None if none)."""

    def count(rows: pd.DataFrame) -> dict[str, int]:
        found = rows["decision"].to_list()
        return {d: found.count(d) for d in DECISIONS}

    counts = count(decided)
    kept = counts["normal"] + counts["low bone mass"]

    def by(groups: list[str]) -> dict[str, dict[str, int]]:
        named = np.array(groups)
        return {g: count(decided.loc[named == g]) for g in sorted(set(groups))}

    sexes = ["unknown" if pd.isna(s) else str(s) for s in decided["sex"].to_list()]
    bands = [
        "unknown" if pd.isna(a) else AGE_BANDS[np.searchsorted(AGE_EDGES, a, side="right")]
        for a in decided["age"].to_list()
    ]
    return {
        "n": len(decided),
        "counts": counts,
        "by_sex": by(sexes),
        "by_age": by(bands),
        "by_source": by(decided["source"].to_list()),
        "prevalence": counts["low bone mass"] / kept if kept else None,
    }
