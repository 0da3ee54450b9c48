"""What a model met in a cohort, for summary.json: missing cells, strangers' values, SHAP."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from data_sharding.schema import sha256_file
from eval.clinical.cohorts import Cohort
from eval.clinical.combined import with_score
from eval.clinical.features import matrix
from eval.clinical.model import Facts, Model
from eval.clinical.shap import LEAST, parts
from eval.clinical.summary import MISSING, CohortSummary, Fit, ModelName, Part, Said
from eval.frames import Frame
from eval.runs import Run


def fit_said(facts: Facts, to: str) -> Fit:
    """What a model was fitted to, and what was chosen."""
    best = facts.tried[0]
    return Fit(
        to=to,
        n=facts.n,
        patients=facts.patients,
        positives=facts.positives,
        missing=facts.missing,
        monotone=facts.monotone,
        depth=best.depth,
        rounds=best.rounds,
        log_loss=best.log_loss,
        tried=len(facts.tried),
    )


def summed(
    run: Run,
    cohort: Cohort,
    margins: Mapping[ModelName, NDArray[np.float64]],
    models: Mapping[ModelName, Model],
) -> CohortSummary:
    """One cohort under every model.

    Args:
        run: whose cohort it is.
        cohort: its rows [n].
        margins: model -> log odds [n], NaN where it has none.
        models: those of trees.
    """
    said: dict[ModelName, Said] = {}
    for name, margin in margins.items():
        there = np.isfinite(margin)
        rows, model = cohort.rows[there], models.get(name)
        if name == "combined":
            rows = with_score(rows, cohort.image[there])
        importance, shares = shap_of(model, rows, cohort.name) if model else ({}, {})
        said[name] = Said(
            rows=int(there.sum()),
            left_out=int((~there).sum()),
            outside=model.outside(rows, cohort.name) if model else {},
            importance=importance,
            parts=shares,
        )
    return CohortSummary(
        predictions_sha256=sha256_file(run.cohort(cohort.name, "predictions.parquet")),
        rows=len(cohort.rows),
        missing={c: int(cohort.rows[c].isna().sum()) for c in MISSING},
        emptied=cohort.emptied,
        models=said,
    )


def shap_of(
    model: Model, rows: Frame, where: str
) -> tuple[dict[str, float], dict[str, tuple[Part, ...]]]:
    """Mean |SHAP| of each feature, and mean SHAP from its low to its high values; of fewer than 5
    patients neither: one row's SHAP values are its person's facts in another guise.
    """
    if rows["patient"].nunique() < LEAST:
        return {}, {}
    shap = model.contributions(rows, where)
    values = matrix(rows, model.facts.features, where)
    patient = rows["patient"].to_numpy(str)
    size = np.abs(shap).mean(axis=0)
    columns = list(enumerate(model.facts.features))
    return (
        {name: float(size[i]) for i, name in columns},
        {name: parts(name, values[:, i], shap[:, i], patient) for i, name in columns},
    )
