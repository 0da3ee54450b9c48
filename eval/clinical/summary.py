"""The shape of ``RUN/clinical/summary.json``: what the clinical models met, cohort by cohort."""

from __future__ import annotations

from typing import Literal

from data_sharding.schema import Strict

ModelName = Literal["clinical", "combined", "OST"]


class Said(Strict):
    """One model on one cohort.

    `left_out` rows have no prediction: OST needs age and weight, combined an image score. `outside`
    counts rows beyond the training range of each feature; `importance` is mean |SHAP| in log odds.
    """

    rows: int
    left_out: int
    outside: dict[str, int]
    importance: dict[str, float]


class CohortSummary(Strict):
    """One cohort: cells missing, by column; `emptied` of them held what no adult has."""

    rows: int
    missing: dict[str, int]
    emptied: dict[str, int]
    models: dict[ModelName, Said]


class OstLine(Strict):
    """Log odds = intercept + slope x (-OST), fitted to `n` training rows."""

    intercept: float
    slope: float
    n: int


class Summary(Strict):
    """summary.json.

    `image` is the model that combined reads; `skipped` says why a model is not there.
    """

    format: Literal["osteoray-clinical-summary/1"] = "osteoray-clinical-summary/1"
    image: str | None
    training_rows: int
    emptied: dict[str, int]
    ost: OstLine | None
    thresholds: dict[ModelName, float | None]
    skipped: dict[ModelName, str]
    cohorts: dict[str, CohortSummary]
