"""metrics.json: what the models of a run are worth on one cohort.

    python -m eval metrics RUN

One file per cohort, made from its predictions.parquet alone. Same predictions, same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import numpy as np
import pandas as pd
from pydantic import Field

from data_sharding.schema import Strict, check_predictions
from eval.baseline import Baseline, baseline
from eval.bootstrap import PatientDraws
from eval.compare import Difference, differences
from eval.frames import Frame
from eval.intervals import Method
from eval.net_benefit import DecisionCurve, decision_curve
from eval.performance import Cases, Performance, performance
from eval.reliability import Calibration, calibration
from eval.spectrum import Spectrum
from eval.subgroups import SeverityBand, Subgroup, by_severity, by_sex_and_age

METRICS_FORMAT = "osteoray-metrics/2"


class Settings(Strict):
    """What decides the numbers besides the predictions.

    - draws, seed: of the resampled patients. confidence: of every interval, two-sided.
    - proportions: kind of binomial interval.
    - smallest_group: a subgroup of fewer patients is kept back, its size too; and with it the next
      smallest group, where the hidden ones could be had by subtraction (`eval.subgroups`).
    - smallest_class: with fewer patients of either class a subgroup's ranking is not stated.
    """

    draws: int = Field(1000, ge=1, le=100_000)
    seed: int = Field(0, ge=0)
    confidence: float = Field(0.95, gt=0, lt=1)
    proportions: Method = "wilson"
    smallest_group: int = Field(5, ge=1)
    smallest_class: int = Field(10, ge=2)


class ModelMetrics(Strict):
    """One model on one cohort.

    - severities: empty where the cohort states none.
    - subgroups: by one characteristic and by two; `comparisons` is how many of their gaps were
      tested, which the corrected p values allow for.
    - confounding, fracture: None where the predictions do not hold what they need.
    """

    model: str
    threshold: float | None
    unlabelled: int
    overall: Performance
    calibration: Calibration
    subgroups: tuple[Subgroup, ...]
    severities: tuple[SeverityBand, ...]
    comparisons: int
    decision: DecisionCurve
    confounding: None = None
    fracture: None = None


class Metrics(Strict):
    """The content of metrics.json."""

    format: Literal["osteoray-metrics/2"] = METRICS_FORMAT
    cohort: str
    predictions_sha256: str
    settings: Settings
    baseline: Baseline
    spectrum: Spectrum | None
    models: tuple[ModelMetrics, ...]
    differences: tuple[Difference, ...]
    notes: tuple[str, ...]


def evaluate_cohort(
    predictions: pd.DataFrame,
    cohort: str,
    settings: Settings | None = None,
    predictions_sha256: str = "",
) -> Metrics:
    """Evaluate every model in the predictions of one cohort.

    Args:
        predictions: `schema.PREDICTION_COLUMNS`; rows without a label are counted, not used.
        cohort: its name.
        settings: draws, seed, confidence level and kind of interval.
        predictions_sha256: of the file the predictions came from, kept to know what is stale.

    Raises:
        ValueError: the columns break the contract, the file mixes cohorts, a model has two
            thresholds, or a key has different patients or labels under different models.
    """
    settings = settings or Settings()
    frame: Frame = check_predictions(predictions, cohort)
    _check_one_cohort(frame, cohort)
    patients = np.unique(frame["patient"].to_numpy(str))
    draws = PatientDraws.of(patients.size, settings.draws, settings.seed) if len(frame) else None
    models, paired = [], {}
    for name in _teacher_first(frame["model"].unique()):
        assert draws is not None
        rows = frame[frame["model"] == name]
        labelled = rows[rows["label"].notna()]
        cases = Cases(
            np.searchsorted(patients, labelled["patient"].to_numpy(str)),
            labelled["label"].to_numpy(np.int64),
            labelled["probability"].to_numpy(np.float64),
            _threshold(rows, f"{cohort}, {name}"),
            draws,
            settings.proportions,
            settings.confidence,
        )
        models.append(_model(name, len(rows) - len(labelled), labelled, cases))
        paired[name] = (labelled["key"].tolist(), cases)
    return Metrics(
        cohort=cohort,
        predictions_sha256=predictions_sha256,
        settings=settings,
        baseline=baseline(frame),
        spectrum=None,
        models=tuple(models),
        differences=differences(paired),
        notes=tuple(_notes(frame)),
    )


def _model(name: str, unlabelled: int, labelled: Frame, cases: Cases) -> ModelMetrics:
    return ModelMetrics(
        model=name,
        threshold=cases.threshold,
        unlabelled=unlabelled,
        overall=performance(cases),
        calibration=calibration(cases),
        subgroups=by_sex_and_age(labelled, cases),
        severities=by_severity(labelled, cases),
        comparisons=0,
        decision=decision_curve(cases),
    )


def _teacher_first(names: Iterable[str]) -> list[str]:
    """Teacher, student, then the others by name."""
    known = ["teacher", "student"]
    return sorted(names, key=lambda n: (known.index(n) if n in known else len(known), n))


def _check_one_cohort(frame: Frame, cohort: str) -> None:
    if others := sorted(set(frame["cohort"].dropna()) - {cohort}):
        raise ValueError(f"{cohort}: the file also holds rows of {', '.join(others)}")
    if frame[["model", "key", "patient"]].isna().any(axis=None):
        raise ValueError(f"{cohort}: model, key and patient may not be empty")
    if not frame["label"].dropna().isin([0, 1]).all():
        raise ValueError(f"{cohort}: labels must be 0, 1 or missing")
    facts = frame.groupby("key")[["patient", "label"]].nunique(dropna=False)
    if (facts > 1).any(axis=None):
        raise ValueError(f"{cohort}: models disagree about the patient or the label of a key")


def _threshold(rows: Frame, where: str) -> float | None:
    """The one frozen threshold, or None if the file has none."""
    values = rows["threshold"].dropna().unique()
    if values.size > 1:
        raise ValueError(f"{where}: {values.size} thresholds; a model has one, frozen on tuning")
    return float(values[0]) if values.size else None


def _notes(frame: Frame) -> list[str]:
    """Facts about the cohort that change how the numbers are read."""
    if frame.empty:
        return ["The predictions file has no rows."]
    keys = frame.groupby("model")["key"].agg(frozenset)
    notes = []
    if keys.nunique() > 1:
        notes.append("The models did not predict the same pictures; differences use common ones.")
    if frame["label"].isna().all():
        notes.append("No picture of this cohort has a reference label.")
    if frame.groupby("model")["patient"].apply(lambda p: p.duplicated().any()).any():
        notes.append("Some patients have several pictures: intervals allow for it.")
    return notes
