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

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

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
from eval.clinical.features import CLINICAL, blank_implausible, columns
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

Made = TypeVar("Made")
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
    """The combined model, and what cross-fitted ones say of the tuning rows: log odds [n]."""

    model: Model
    tuning: NDArray[np.float64]


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
    _refuse_unlabelled(run)
    train = training_rows(run)
    where, tuning = f"{train.name}, training split", f"{train.name}-tune"
    if tuning not in run.cohorts:
        raise ValueError(
            f"{run.folder}: no predictions of {tuning}, where thresholds are chosen: let training "
            "predict it first"
        )
    chosen = _chosen(run, tuning, image)
    cohorts = {name: _cohort(run, name, chosen) for name in run.cohorts}
    others = {n: c for n, c in cohorts.items() if n != tuning}
    _refuse_patients(cohorts, train.patients, "the clinical model's training split")
    _refuse_patients(others, frozenset(cohorts[tuning].rows["patient"]), f"{tuning}, too,")
    rows, emptied = blank_implausible(train.rows)
    clinical = fit_clinical(rows, seed=seed, where=where)
    ost = _try(lambda: fit_ost(rows, where))
    combined = _combined(cohorts[tuning], chosen, train, seed)
    margins = {n: _margins(c, clinical, ost, combined, n == tuning) for n, c in cohorts.items()}
    skipped: dict[ModelName, str] = {}
    if isinstance(combined, str):
        skipped["combined"] = combined
    if isinstance(ost, str):
        skipped["OST"] = ost
    thresholds: dict[ModelName, float | None] = {
        model: _threshold(cohorts[tuning].rows["label"], said)
        for model, said in margins[tuning].items()
    }
    models = {"clinical": clinical}
    models |= {} if isinstance(combined, str) else {"combined": combined.model}
    summary = Summary(
        image=None if isinstance(combined, str) else chosen,
        training_rows=len(rows),
        emptied=emptied,
        ost=None if isinstance(ost, str) else ost.facts,
        thresholds=thresholds,
        skipped=skipped,
        cohorts={n: _summary(c, margins[n], models) for n, c in cohorts.items()},
    )
    for name in ("clinical", "combined"):
        kept = run.folder / "clinical" / name
        if name in models:
            models[name].save(kept)
        else:  # one of an earlier time would pass for this one
            (kept / "facts.json").unlink(missing_ok=True)
    text = canonical_json(summary.model_dump(mode="json")) + "\n"
    write_atomic(run.folder / "clinical" / "summary.json", text)
    return [_write(run, c, margins[n], thresholds) for n, c in cohorts.items()]


def _refuse_unlabelled(run: Run) -> None:
    """Refuse a run, such as of recipe fracture, in which there is no label to be judged by."""
    cohorts = run.cohorts
    if cohorts and all(run.predictions(c)["label"].isna().all() for c in cohorts):
        raise ValueError(
            f"{run.folder}: no prediction has a DXA label, which clinical models are judged by; "
            "give a run whose cohorts have labels"
        )


def _try(make: Callable[[], Made]) -> Made | str:
    """What `make` makes, or why it cannot be made."""
    try:
        return make()
    except ValueError as e:
        return str(e)


def _chosen(run: Run, tuning: str, image: str | None) -> str:
    """The image model that the combined one reads.

    Raises:
        ValueError: `image` has no predictions of the tuning split.
    """
    found = sorted(run.predictions(tuning)["model"].unique())
    if image is not None and image not in found:
        raise ValueError(f"{tuning}: no model {image!r}; there are {', '.join(found)}")
    return image or next((m for m in PREFERRED if m in found), found[0])


def _cohort(run: Run, name: str, image: str) -> Cohort:
    """One row a picture, the facts from the image model's rows where it has them."""
    frame = run.predictions(name)
    first = (frame["model"] != image).to_numpy(bool)
    rows = frame.iloc[np.argsort(first, kind="stable")].drop_duplicates("key").sort_values("key")
    probability = np.where(rows["model"] == image, rows["probability"], np.nan)
    rows, emptied = blank_implausible(rows.reset_index(drop=True))
    columns(rows, CLINICAL, name)  # refuses wrong units before anything is fitted
    return Cohort(name, rows, probability, emptied)


def _refuse_patients(cohorts: dict[str, Cohort], seen: frozenset[str], what: str) -> None:
    for name, cohort in cohorts.items():
        if both := sorted(seen.intersection(cohort.rows["patient"])):
            raise ValueError(
                f"{name}: {len(both)} patients are in {what} such as {both[0]}: a model would be "
                "judged on people it was fitted to; split by patient and train again"
            )


def _combined(cohort: Cohort, image: str, train: Training, seed: int) -> Combined | str:
    """Fit to the tuning rows that the image model scored; or say why that cannot be.

    Raises:
        ValueError: a patient of these rows is of the training split.
    """
    there = np.isfinite(cohort.image)
    rows, score = cohort.rows[there], cohort.image[there]
    proof = OutOfSample.one_model(image, train.patients, len(rows))
    proof.check(rows["patient"])

    def make() -> Combined:
        margin = np.full(len(cohort.rows), np.nan)
        margin[there] = combined_out_of_fold(rows, score, proof, seed=seed).margin
        return Combined(fit_combined(rows, score, proof, seed=seed, where=cohort.name), margin)

    return _try(make)


def _margins(
    cohort: Cohort, clinical: Model, ost: OstRisk | str, combined: Combined | str, tuning: bool
) -> Margins:
    said: Margins = {"clinical": clinical.margin(cohort.rows, cohort.name)}
    if not isinstance(combined, str):
        there = np.isfinite(cohort.image)
        margin = np.full(len(cohort.rows), np.nan)
        rows = with_score(cohort.rows[there], cohort.image[there])
        margin[there] = combined.model.margin(rows, cohort.name)
        said["combined"] = combined.tuning if tuning else margin
    if not isinstance(ost, str):
        said["OST"] = ost.margin(cohort.rows, cohort.name)
    return said


def _threshold(label: Frame, margin: NDArray[np.float64]) -> float | None:
    """Youden's on the labelled rows that have a prediction; None where a class is missing."""
    there = label.notna().to_numpy(bool) & np.isfinite(margin)
    return youden_threshold(label[there].to_numpy(np.int64), expit(margin[there])).value


def _summary(cohort: Cohort, margins: Margins, models: dict[str, Model]) -> CohortSummary:
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
