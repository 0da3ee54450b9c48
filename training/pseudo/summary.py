"""How many were kept, by sex, age and source."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from training.pseudo.ledger import DECISIONS

AGE_EDGES = (50, 55, 60, 65)
AGE_BANDS = ("below 50", "50-54", "55-59", "60-64", "65 and above")


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

    return {
        "n": len(decided),
        "counts": counts,
        "by_sex": by(sexes(decided)),
        "by_age": by(age_bands(decided)),
        "by_source": by(decided["source"].to_list()),
        "prevalence": counts["low bone mass"] / kept if kept else None,
    }


def sexes(frame: pd.DataFrame) -> list[str]:
    """F, M or unknown."""
    return ["unknown" if pd.isna(s) else str(s) for s in frame["sex"].to_list()]


def age_bands(frame: pd.DataFrame) -> list[str]:
    """The band of each age, or unknown."""
    return [
        "unknown" if pd.isna(a) else AGE_BANDS[np.searchsorted(AGE_EDGES, a, side="right")]
        for a in frame["age"].to_list()
    ]
