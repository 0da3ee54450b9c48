"""What several models say together of one cohort: pure functions of their predictions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.special import logit

from data_sharding.schema import OPTIONAL_PREDICTION_COLUMNS

#: What models say of a picture; the other columns are facts, on which all must agree.
SAID = ["probability", *(c for c in OPTIONAL_PREDICTION_COLUMNS if c.startswith(("p_", "risk_")))]
#: Of one model, or of one run.
OWN = [*SAID, "logit", "threshold", "cohort"]
#: A probability of exactly 0 or 1 has no finite log odds: the nearest that has.
LEAST, MOST = np.finfo(np.float64).tiny, 1 - 2.0**-53


def mean_of(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Of each model and picture the mean of what the folds say.

    Args:
        frames: each fold's predictions of one cohort, sorted by (model, key), as
            `schema.check_predictions` leaves them.

    Raises:
        ValueError: they are not of the same pictures, or differ in a fact of one.
    """
    first = frames[0]
    facts = first.drop(columns=OWN)
    for number, frame in enumerate(frames[1:], 1):
        if not frame.drop(columns=OWN).equals(facts):
            raise ValueError(f"fold {number} has other pictures, or other facts of them, than 0")
    # said: (fold, row, column)
    said = np.stack([frame[SAID].to_numpy(np.float64) for frame in frames])
    return first.assign(**dict(zip(SAID, said.mean(axis=0).T.clip(0, 1), strict=True)))


def with_score(frame: pd.DataFrame, survival: bool) -> pd.DataFrame:
    """With the `logit` that belongs to `probability`: log odds, or the log of the cumulative hazard
    at the horizon, by which a survival model's patients are ranked.

    The logits of different folds have no scale in common; these have.
    """
    p = frame["probability"].to_numpy(np.float64).clip(LEAST, MOST)
    return frame.assign(logit=np.log(-np.log1p(-p)) if survival else logit(p))
