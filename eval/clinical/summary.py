"""The shape of ``RUN/clinical/summary.json``: what the clinical models met, cohort by cohort."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal, Self, TypeVar

from pydantic import Field, model_validator

from data_sharding.schema import Strict

ModelName = Literal["clinical", "combined", "OST"]
Made = TypeVar("Made")
#: What may be missing of a row, as it is counted everywhere.
MISSING = ("age", "sex", "height_cm", "weight_kg")


class Part(Strict):
    """Rows with a feature within `label`: how many, and their mean SHAP in log odds."""

    label: str
    rows: int
    mean: float


class Said(Strict):
    """One model on one cohort.

    `left_out` rows have no prediction: OST needs age and weight, combined an image score. `outside`
    counts rows beyond the training range of each feature; `importance` is mean |SHAP| in log odds,
    `parts` mean SHAP from low to high values of each feature.
    """

    rows: int
    left_out: int
    outside: dict[str, int]
    importance: dict[str, float]
    parts: dict[str, tuple[Part, ...]]


class CohortSummary(Strict):
    """One cohort: cells missing, by column; `emptied` of them held what no adult has."""

    predictions_sha256: str
    rows: int
    missing: dict[str, int]
    emptied: dict[str, int]
    models: dict[ModelName, Said]

    @model_validator(mode="after")
    def _counted(self) -> Self:
        return _named(self, self.missing, MISSING)


class OstLine(Strict):
    """Log odds = intercept + slope x (-OST), fitted to `n` training rows."""

    intercept: float
    slope: float
    n: int


class Fit(Strict):
    """What trees were fitted to, and what inner cross-validation chose: of `tried` settings the
    one with the lowest held-out log loss.
    """

    to: str
    n: int
    patients: int
    positives: int
    missing: dict[str, int]
    monotone: dict[str, int]
    depth: int
    rounds: int
    log_loss: float
    tried: int

    @model_validator(mode="after")
    def _counted(self) -> Self:
        return _named(self, self.missing, (*MISSING, "bmi"))


class Summary(Strict):
    """summary.json.

    `image` is the model that combined reads; `folds` are of a cross-validated run, whose scores of
    training rows are out of fold; `chose` is the cohort that thresholds were chosen on; `skipped`
    says why a model is not there.
    """

    format: Literal["osteoray-clinical-summary/2"] = "osteoray-clinical-summary/2"
    image: str | None
    folds: int | None = Field(default=None, description="of a cross-validated run")
    chose: str
    training_rows: int
    emptied: dict[str, int]
    fits: dict[ModelName, Fit]
    ost: OstLine | None
    thresholds: dict[ModelName, float | None]
    skipped: dict[ModelName, str]
    unlabelled: tuple[str, ...] = Field(default=(), description="cohorts that are not predicted")
    cohorts: dict[str, CohortSummary]

    @model_validator(mode="after")
    def _thresholds(self) -> Self:
        return _named(self, self.thresholds, (*self.fits, *(["OST"] if self.ost else [])))


def _named(model: Made, found: Collection[str], wanted: Collection[str]) -> Made:
    """The model, if it says something of all that is printed of it."""
    if lacking := sorted(set(wanted) - set(found)):
        raise ValueError(f"nothing is said of {', '.join(lacking)}")
    return model
