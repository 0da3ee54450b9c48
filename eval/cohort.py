"""metrics.json: what the models of a run are worth on one cohort.

    python -m eval metrics RUN

One file per cohort, made from its predictions.parquet alone. Same predictions, same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
from pydantic import Field

from data_sharding.schema import Strict, check_predictions
from eval.baseline import Baseline, baseline
from eval.bootstrap import PatientDraws
from eval.checks import check_cohort, notes, threshold, without_impossible
from eval.clinical.confounding import Confounding
from eval.clinical.probe import probe
from eval.compare import Difference, differences
from eval.frames import Frame
from eval.intervals import Method
from eval.linter import from_metrics, lint
from eval.net_benefit import DecisionCurve, decision_curve
from eval.performance import Cases, Performance, performance
from eval.reliability import Calibration, calibration
from eval.runs import is_tuning
from eval.scores import Scores, scores
from eval.spectrum import Spectrum, spectrum
from eval.subgroups import (
    Levels,
    Rule,
    SeverityBand,
    Subgroup,
    by_severity,
    kept_back,
    levels,
    subgroups,
)
from eval.survival.cohort import fracture_metrics
from eval.survival.shapes import FractureMetrics

METRICS_FORMAT = "osteoray-metrics/2"


class Settings(Strict):
    """What decides the numbers besides the predictions.

    - draws, seed: of the resampled patients. confidence: of every interval, two-sided.
    - proportions: kind of binomial interval.
    - smallest_group: a subgroup of fewer patients is kept back, its size too; and with it the next
      smallest group, where the hidden ones could be had by subtraction (`eval.subgroups`).
    - smallest_class: with fewer patients of either class a subgroup's ranking is not stated.
    """

    draws: int = Field(default=1000, ge=1, le=100_000)
    seed: int = Field(default=0, ge=0)
    confidence: float = Field(default=0.95, gt=0, lt=1)
    proportions: Method = "wilson"
    smallest_group: int = Field(default=5, ge=1)
    smallest_class: int = Field(default=10, ge=2)


@dataclass(frozen=True)
class Beside:
    """Models of a clinical.parquet among the predictions, its hash, and what to remark."""

    models: tuple[str, ...] = ()
    sha256: str = ""
    remarks: tuple[str, ...] = ()


NOTHING_BESIDE = Beside()


class ModelMetrics(Strict):
    """One model on one cohort.

    - scores: of all rows; everything else is of those with a label, or with a follow-up.
    - severities: empty where the cohort states none.
    - subgroups: by one characteristic and by two; `comparisons` is how many of their gaps were
      tested, which the corrected p values allow for.
    - confounding, fracture: None where the predictions do not hold what they need; clinical models
      have no confounding by what they are made of.
    """

    model: str
    threshold: float | None
    unlabelled: int
    scores: Scores
    overall: Performance
    calibration: Calibration
    subgroups: tuple[Subgroup, ...]
    severities: tuple[SeverityBand, ...]
    comparisons: int
    decision: DecisionCurve
    confounding: Confounding | None = None
    fracture: FractureMetrics | None = None


class Metrics(Strict):
    """The content of metrics.json.

    `clinical` names the models that read age, sex and body, with or without an image's score
    (`eval.clinical`), of the clinical.parquet with `clinical_sha256`.
    """

    format: Literal["osteoray-metrics/2"] = METRICS_FORMAT
    cohort: str
    predictions_sha256: str
    settings: Settings
    baseline: Baseline
    spectrum: Spectrum | None
    models: tuple[ModelMetrics, ...]
    differences: tuple[Difference, ...]
    notes: tuple[str, ...]
    clinical: tuple[str, ...] = ()
    clinical_sha256: str = ""


def evaluate_cohort(
    predictions: pd.DataFrame,
    cohort: str,
    settings: Settings | None = None,
    predictions_sha256: str = "",
    beside: Beside = NOTHING_BESIDE,
) -> Metrics:
    """Evaluate every model in the predictions of one cohort.

    Args:
        predictions: `schema.PREDICTION_COLUMNS`; rows without a label are counted, not used.
        cohort: its name.
        settings: what decides the numbers besides.
        predictions_sha256: of the file the predictions came from, kept to know what is stale.
        beside: which of the models are clinical ones.

    Raises:
        ValueError: the columns break the contract, the file mixes cohorts, a model has two
            thresholds, a patient two labels, or a key has different patients or labels under
            different models.
    """
    settings = settings or Settings()
    frame: Frame = check_predictions(predictions, cohort)
    check_cohort(frame, cohort)
    frame, odd = without_impossible(frame)
    patients, column = np.unique(frame["patient"].to_numpy(str), return_inverse=True)
    draws = PatientDraws.of(patients.size, settings.draws, settings.seed) if len(frame) else None
    labelled = frame["label"].notna().to_numpy()
    rule = Rule(settings.smallest_group, settings.smallest_class)
    splits = levels(frame)
    away = kept_back([s.where(labelled) for s in splits], column[labelled], rule.least)
    rule = replace(rule, kept_back=away)
    models, paired, external = [], {}, not is_tuning(cohort)
    for name in in_order(frame["model"].unique(), beside.models):
        assert draws is not None
        of_model = (frame["model"] == name).to_numpy()
        used = of_model & labelled
        rows, of_rows = frame[used], {s.name: s.where(used) for s in splits}
        cases = Cases(
            column[used],
            rows["label"].to_numpy(np.int64),
            rows["probability"].to_numpy(np.float64),
            threshold(frame[of_model], f"{cohort}, {name}"),
            draws,
            settings.proportions,
            settings.confidence,
        )
        own = name not in beside.models
        told = scores(
            frame["probability"].to_numpy(np.float64)[of_model],
            column[of_model],
            cases.threshold,
            rule.least,
            settings.proportions,
            settings.confidence,
        )
        models.append(_model(frame[of_model], told, cases, of_rows, rule, settings, external, own))
        paired[name] = (rows["key"].tolist(), cases)
    metrics = Metrics(
        cohort=cohort,
        predictions_sha256=predictions_sha256,
        settings=settings,
        baseline=baseline(frame, rule.least, away),
        spectrum=spectrum(frame, rule, settings.proportions, settings.confidence),
        models=tuple(models),
        differences=differences(paired),
        notes=(*notes(frame), *odd, *beside.remarks),
        clinical=beside.models,
        clinical_sha256=beside.sha256,
    )
    check_coherent(metrics, f"{cohort}: a fault of OsteoRay, please report it")
    return metrics


def _model(
    rows: Frame,
    told: Scores,
    cases: Cases,
    splits: dict[str, Levels],
    rule: Rule,
    settings: Settings,
    external: bool,
    own: bool,
) -> ModelMetrics:
    """One model: all its rows, and those with a label as `cases` and `splits`.

    `own`: it reads pictures alone, and may owe more to age and sex than it should.
    """
    labelled = rows[rows["label"].notna()]
    groups, comparisons = subgroups(tuple(splits.values()), cases, rule)
    return ModelMetrics(
        model=str(rows["model"].iloc[0]),
        threshold=cases.threshold,
        unlabelled=len(rows) - len(labelled),
        scores=told,
        overall=performance(cases),
        calibration=calibration(cases, external=external),
        subgroups=groups,
        comparisons=comparisons,
        severities=by_severity(splits["severity"], cases, rule),
        decision=decision_curve(cases),
        confounding=probe(labelled, settings) if own and len(labelled) else None,
        fracture=fracture_metrics(rows, settings),
    )


def check_coherent(metrics: Metrics, what: str) -> None:
    """Refuse metrics that the linter finds a contradiction in: nobody is to read them.

    Raises:
        ValueError: `what`, the first finding and how many more there are, in one line.
    """
    findings = lint(from_metrics(metrics.model_dump(mode="json")))
    if findings:
        more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
        raise ValueError(f"{what}: {findings[0].line()}{more}")


def in_order(names: Iterable[str], clinical: Sequence[str] = ()) -> list[str]:
    """Teacher, student, the others by name; then the clinical models."""
    known = ["teacher", "student"]

    def place(name: str) -> tuple[bool, int, str]:
        return name in clinical, known.index(name) if name in known else len(known), name.lower()

    return sorted(names, key=place)
