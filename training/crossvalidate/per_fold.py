"""``per_fold.json``: how each fold's model ranks a cohort, and all of them together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from training.crossvalidate.plan import Plan
from training.followup import Followed
from training.survival import concordance
from training.validate import auroc

FORMAT = "osteoray-folds/1"


def per_fold(
    plan: Plan,
    each: Mapping[str, Mapping[int, pd.DataFrame]],
    together: Mapping[str, pd.DataFrame],
) -> dict[str, Any]:
    """AUROC by cohort and model, or a survival model's C; None where it is not defined.

    Args:
        plan: the cross-validation.
        each: cohort -> fold -> its predictions. Of the train split these are different rows.
        together: cohort -> predictions of the whole.
    """
    survival = plan.config.fracture is not None
    ranked: dict[str, Any] = {}
    for cohort, frames in each.items():
        folds = [_ranks(frames[fold.number], survival) for fold in plan.folds]
        whole = _ranks(together[cohort], survival)
        ranked[cohort] = {
            model: {"each": [said.get(model) for said in folds], "together": whole.get(model)}
            for model in plan.config.models
        }
    measure = "c" if survival else "auroc"
    return {"format": FORMAT, "folds": len(plan.folds), measure: ranked}


def _ranks(frame: pd.DataFrame, survival: bool) -> dict[str, float | None]:
    """Model -> AUROC or C."""
    found: dict[str, float | None] = {}
    for model, rows in frame.groupby("model"):
        if survival:
            known = Followed.of_index(rows.reset_index(drop=True), str(model))
            log_risk = rows["logit"].to_numpy(np.float64)[known.rows]
            found[str(model)] = concordance(log_risk, known.days, known.event)
        else:
            rows = rows.loc[rows["label"].notna()]
            label, score = rows["label"].to_numpy(np.int64), rows["logit"].to_numpy(np.float64)
            found[str(model)] = auroc(label, score)
    return found
