"""Clinical, combined and OST beside the image models of a run.

    python -m eval clinical RUN

The clinical model and OST's probabilities are fitted to the internal training split, as its
``index.parquet`` states age, sex, height, weight and label. The combined model is fitted to the
tuning split, which no image model was trained on: the tuning rows are cross-fitted, every other
cohort is predicted by the model of all of them. (The image model's temperature and its best epoch
were chosen on the tuning split; that flatters its score there a little, and the combined model
trusts it by as much.) Thresholds are Youden's, on the tuning split.

Written: ``RUN/clinical/{clinical,combined}/`` (models), ``RUN/clinical/summary.json``, and
``RUN/cohorts/<cohort>/clinical.parquet`` in the shape of predictions.parquet, with the models
`clinical`, `combined` and `OST`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scipy.special import expit

from data_sharding.schema import (
    OPTIONAL_PREDICTION_COLUMNS,
    canonical_json,
    check_predictions,
    sha256_file,
    write_atomic,
)
from eval.clinical.combined import OutOfSample, combined_out_of_fold, fit_combined, with_score
from eval.clinical.features import blank_implausible
from eval.clinical.model import Model, fit_clinical
from eval.clinical.reference import OstRisk, fit_ost
from eval.clinical.split import Training, training_rows
from eval.clinical.summary import CohortSummary, ModelName, Said, Summary
from eval.frames import Frame
from eval.runs import Run
from eval.thresholds import youden_threshold

#: Which image model the combined one reads if the run has several: the first of these.
PREFERRED = ("student", "ensemble", "teacher")
#: In the parquet file's metadata: hash of the predictions.parquet it was made beside.
BESIDE = b"osteoray.predictions"
FACTS = tuple(c for c in OPTIONAL_PREDICTION_COLUMNS if c not in ("logit", "threshold"))

#: model -> log odds of each row [n], NaN where it has none
Margins = dict[ModelName, NDArray[np.float64]]


@dataclass(frozen=True)
class Cohort:
    """One row a picture; `image` [n] is the image model's probability, NaN where it has none."""

    name: str
    rows: Frame
    image: NDArray[np.float64]
    emptied: dict[str, int]


@dataclass(frozen=True)
class Combined:
    """The combined model and the tuning rows' own, cross-fitted; None where `skipped` says why."""

    model: Model | None
    tuning: NDArray[np.float64] | None
    skipped: str | None


def clinical_of(folder: Path, image: str | None = None, seed: int = 0) -> list[Path]:
    """Fit the clinical and combined models of a run and predict all its cohorts.

    Args:
        folder: a run, or a link to one.
        image: the image model that the combined one reads; by default the student if there is one.
        seed: decides folds.

    Returns:
        The clinical.parquet files, one a cohort.

    Raises:
        ValueError: no readable internal dataset or no tuning predictions, a cohort with patients
            that a model was fitted to, values that no adult has, too few patients of a class.
    """
    run = Run.at(folder)
    train = training_rows(run)
    where = f"{train.name}, training split"
    rows, emptied = blank_implausible(train.rows)
    clinical, ost = fit_clinical(rows, seed=seed, where=where), fit_ost(rows, where)
    tuning = f"{train.name}-tune"
    if tuning not in run.cohorts:
        raise ValueError(
            f"{run.folder}: no predictions of {tuning}, where thresholds are chosen: let training "
            "predict it first"
        )
    chosen = image or _preferred(run.predictions(tuning))
    cohorts = {name: _cohort(run, name, chosen) for name in run.cohorts}
    _refuse_patients(cohorts, train.patients, "the clinical model's training split")
    combined = _combined(cohorts[tuning], chosen, train, seed)
    others = {n: c for n, c in cohorts.items() if n != tuning}
    _refuse_patients(others, frozenset(cohorts[tuning].rows["patient"]), f"{tuning}, too,")
    margins = {n: _margins(c, clinical, ost, combined, n == tuning) for n, c in cohorts.items()}
    thresholds: dict[ModelName, float | None] = {
        model: _threshold(cohorts[tuning].rows["label"], said)
        for model, said in margins[tuning].items()
    }
    clinical.save(run.folder / "clinical" / "clinical")
    if combined.model:
        combined.model.save(run.folder / "clinical" / "combined")
    models = {"clinical": clinical, "combined": combined.model}
    summary = Summary(
        image=chosen if combined.model else None,
        training_rows=len(rows),
        emptied=emptied,
        ost={"intercept": ost.intercept, "slope": ost.slope, "n": ost.n},
        thresholds=thresholds,
        skipped={"combined": combined.skipped} if combined.skipped else {},
        cohorts={n: _summary(c, margins[n], models) for n, c in cohorts.items()},
    )
    text = canonical_json(summary.model_dump(mode="json")) + "\n"
    write_atomic(run.folder / "clinical" / "summary.json", text)
    return [_write(run, c, margins[n], thresholds) for n, c in cohorts.items()]


def _preferred(predictions: Frame) -> str:
    found = sorted(predictions["model"].unique())
    return next((m for m in PREFERRED if m in found), found[0] if found else PREFERRED[0])


def _cohort(run: Run, name: str, image: str) -> Cohort:
    """One row a picture, the facts from the image model's rows where it has them."""
    frame = run.predictions(name)
    first = (frame["model"] != image).to_numpy(bool)
    rows = frame.iloc[np.argsort(first, kind="stable")].drop_duplicates("key").sort_values("key")
    probability = np.where(rows["model"] == image, rows["probability"], np.nan)
    rows, emptied = blank_implausible(rows.reset_index(drop=True))
    return Cohort(name, rows, probability, emptied)


def _refuse_patients(cohorts: dict[str, Cohort], seen: frozenset[str], what: str) -> None:
    for name, cohort in cohorts.items():
        if both := sorted(seen.intersection(cohort.rows["patient"])):
            raise ValueError(
                f"{name}: {len(both)} patients are in {what} such as {both[0]}: a model would be "
                "judged on people it was fitted to; split by patient and train again"
            )


def _combined(cohort: Cohort, image: str, train: Training, seed: int) -> Combined:
    """Fit to the tuning rows that the image model scored."""
    there = np.isfinite(cohort.image)
    rows, score = cohort.rows[there], cohort.image[there]
    proof = OutOfSample.one_model(image, train.patients, len(rows))
    proof.check(rows["patient"])
    try:
        found = combined_out_of_fold(rows, score, proof, seed=seed)
        model = fit_combined(rows, score, proof, seed=seed, where=cohort.name)
    except ValueError as e:
        return Combined(None, None, str(e))
    margin = np.full(len(cohort.rows), np.nan)
    margin[there] = found.margin
    return Combined(model, margin, None)


def _margins(
    cohort: Cohort, clinical: Model, ost: OstRisk, combined: Combined, tuning: bool
) -> Margins:
    said: Margins = {"clinical": clinical.margin(cohort.rows, cohort.name)}
    if combined.model is not None and combined.tuning is not None:
        there = np.isfinite(cohort.image)
        margin = np.full(len(cohort.rows), np.nan)
        rows = with_score(cohort.rows[there], cohort.image[there])
        margin[there] = combined.model.margin(rows, cohort.name) if there.any() else []
        said["combined"] = combined.tuning if tuning else margin
    said["OST"] = ost.margin(cohort.rows, cohort.name)
    return said


def _threshold(label: Frame, margin: NDArray[np.float64]) -> float | None:
    """Youden's on the labelled rows that have a prediction; None where a class is missing."""
    there = label.notna().to_numpy(bool) & np.isfinite(margin)
    return youden_threshold(label[there].to_numpy(np.int64), expit(margin[there])).value


def _summary(cohort: Cohort, margins: Margins, models: dict[str, Model | None]) -> CohortSummary:
    said: dict[ModelName, Said] = {}
    for name, margin in margins.items():
        there = np.isfinite(margin)
        rows, model = cohort.rows[there], models.get(name)
        if name == "combined":
            rows = with_score(rows, cohort.image[there])
        said[name] = Said(
            rows=int(there.sum()),
            left_out=int((~there).sum()),
            outside=model.outside(rows, cohort.name) if model else {},
            importance=model.importance(rows, cohort.name) if model else {},
        )
    missing = ("age", "sex", "height_cm", "weight_kg")
    return CohortSummary(
        rows=len(cohort.rows),
        missing={c: int(cohort.rows[c].isna().sum()) for c in missing},
        emptied=cohort.emptied,
        models=said,
    )


def _write(
    run: Run, cohort: Cohort, margins: Margins, thresholds: dict[ModelName, float | None]
) -> Path:
    frames = [
        cohort.rows[["cohort", "key", "patient", "label", *FACTS]].assign(
            model=model,
            logit=margin,
            probability=expit(margin),
            threshold=np.nan if thresholds[model] is None else thresholds[model],
        )[np.isfinite(margin)]
        for model, margin in margins.items()
    ]
    whole = check_predictions(pd.concat(frames, ignore_index=True), cohort.name)
    beside = sha256_file(run.cohort(cohort.name, "predictions.parquet")).encode()
    table = pa.Table.from_pandas(whole, preserve_index=False)
    table = table.replace_schema_metadata((table.schema.metadata or {}) | {BESIDE: beside})
    path = run.cohort(cohort.name, "clinical.parquet")
    temporary = path.with_name(f".{path.name}.tmp")
    pq.write_table(table, temporary)
    temporary.replace(path)
    return path
