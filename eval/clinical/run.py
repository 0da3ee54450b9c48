"""Clinical, combined and OST beside the image models of a run.

    python -m eval clinical RUN [--monotone]

Trees read age, sex, height, weight and BMI (clinical), and with them the log odds of the image
model's score (combined; Li et al. 2026, 1.4). No score is read of a picture that the image model
learnt from:

- In a cross-validated run both learn from the training rows, whose scores are out of fold
  (`eval.clinical.foldproof` proves it). Training rows are predicted by cross-fitting, every other
  cohort by the model of all of them, from the mean score of the fold models.
- In any other run the clinical model learns from the training split, as its ``index.parquet``
  states it, and the combined one from the tuning split, which no image model learnt from: tuning
  rows are predicted by cross-fitting. (Temperature and best epoch were chosen there; that flatters
  the image's score a little, and the combined model trusts it by as much.)

Thresholds are Youden's on those rows (training or tuning, out of fold), and frozen. OST's two
numbers are fitted to the training rows and not cross-fitted: its ranking has none. A cohort without
any label, such as a public archive, is not predicted: children and unknown units are not met there.

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
from numpy.typing import NDArray
from scipy.special import expit

from data_sharding.schema import canonical_json, write_atomic
from eval.clinical.beside import FILE
from eval.clinical.cohorts import (
    Cohort,
    chosen_image,
    labelled,
    read_cohort,
    refuse_patients,
)
from eval.clinical.combined import OutOfSample, combined_out_of_fold, fit_combined, with_score
from eval.clinical.crossfit import out_of_fold
from eval.clinical.features import CLINICAL, IMAGE, blank_implausible
from eval.clinical.foldproof import fold_proof, folds_of
from eval.clinical.model import MONOTONE, Model, fit_clinical
from eval.clinical.reference import OstRisk, fit_ost
from eval.clinical.split import Training, training_rows
from eval.clinical.summary import ModelName, Summary
from eval.clinical.summing import fit_said, summed
from eval.clinical.writing import write_cohort
from eval.frames import Frame
from eval.runs import Run
from eval.thresholds import youden_threshold

Made = TypeVar("Made")
#: model -> log odds of each row [n], NaN where it has none
Margins = dict[ModelName, NDArray[np.float64]]


@dataclass(frozen=True)
class Fitted:
    """A model, and what cross-fitted ones say of the rows it learnt from: log odds [n]."""

    model: Model
    own: NDArray[np.float64]


@dataclass(frozen=True)
class Models:
    """What was fitted, or why it could not be; `own` is the cohort that has cross-fitted rows."""

    clinical: Model
    clinical_own: NDArray[np.float64] | None
    combined: Fitted | str
    ost: OstRisk | str
    own: str

    def margins(self, cohort: Cohort) -> Margins:
        """Log odds of every model for a cohort."""
        own = cohort.name == self.own
        said: Margins = {"clinical": self.clinical.margin(cohort.rows, cohort.name)}
        if own and self.clinical_own is not None:
            said["clinical"] = self.clinical_own
        if not isinstance(self.combined, str):
            there, margin = cohort.scored, np.full(len(cohort.rows), np.nan)
            rows = with_score(cohort.rows[there], cohort.image[there])
            margin[there] = self.combined.model.margin(rows, cohort.name)
            said["combined"] = self.combined.own if own else margin
        if not isinstance(self.ost, str):
            said["OST"] = self.ost.margin(cohort.rows, cohort.name)
        return said

    @property
    def trees(self) -> dict[ModelName, Model]:
        """The models of trees that there are."""
        found: dict[ModelName, Model] = {"clinical": self.clinical}
        if not isinstance(self.combined, str):
            found["combined"] = self.combined.model
        return found

    @property
    def skipped(self) -> dict[ModelName, str]:
        """Why the others are not there."""
        pairs: dict[ModelName, object] = {"combined": self.combined, "OST": self.ost}
        return {name: why for name, why in pairs.items() if isinstance(why, str)}


def clinical_of(
    folder: Path, image: str | None = None, seed: int = 0, monotone: bool = False
) -> list[Path]:
    """Fit the clinical and combined models of a run and predict all its cohorts.

    Args:
        folder: a run, or a link to one.
        image: the image model that the combined one reads; by default the student if there is one.
        seed: decides folds.
        monotone: hold trees to the directions of `model.MONOTONE`.

    Returns:
        The clinical.parquet files, one a cohort.

    Raises:
        ValueError: no readable internal dataset or no predictions of the rows to learn from, scores
            that are not out of fold, a cohort with patients that a model was fitted to, values that
            no adult has, too few patients of a class.
    """
    run = Run.at(folder)
    _refuse_unlabelled(run)
    _refuse_one_fold(run)
    train, folds = training_rows(run), folds_of(run)
    own = f"{train.name}-{'train' if folds else 'tune'}"
    if own not in run.cohorts:
        raise ValueError(
            f"{run.folder}: no predictions of {own}, where thresholds are chosen: let training "
            "predict it first"
        )
    chosen = chosen_image(run, own, image)
    unlabelled = [name for name in run.cohorts if name != own and not labelled(run, name)]
    cohorts = {n: read_cohort(run, n, chosen) for n in run.cohorts if n not in unlabelled}
    others = {n: c for n, c in cohorts.items() if n != own}
    strangers = others if folds else cohorts
    refuse_patients(strangers, train.patients, "the clinical model's training split")
    refuse_patients(others, frozenset(cohorts[own].rows["patient"]), f"{own}, too,")
    models, learnt, emptied = _fit(run, cohorts[own], chosen, train, seed, monotone)
    margins = {n: models.margins(c) for n, c in cohorts.items()}
    thresholds: dict[ModelName, float | None] = {
        model: _threshold(cohorts[own].rows["label"], said) for model, said in margins[own].items()
    }
    summary = Summary(
        image=chosen if "combined" in models.trees else None,
        folds=folds,
        chose=own,
        training_rows=learnt,
        emptied=emptied,
        fits={
            name: fit_said(model.facts, f"{train.name}-train" if name == "clinical" else own)
            for name, model in models.trees.items()
        },
        ost=None if isinstance(models.ost, str) else models.ost.facts,
        thresholds=thresholds,
        skipped=models.skipped,
        unlabelled=tuple(unlabelled),
        cohorts={n: summed(run, c, margins[n], models.trees) for n, c in cohorts.items()},
    )
    _save(run, models.trees, summary)
    for name in unlabelled:  # of an earlier time, when there was a label
        run.cohort(name, FILE).unlink(missing_ok=True)
    return [write_cohort(run, c, margins[n], thresholds) for n, c in cohorts.items()]


def _refuse_unlabelled(run: Run) -> None:
    """Refuse a run, such as of recipe fracture, in which there is no label to be judged by."""
    if run.cohorts and not any(labelled(run, c) for c in run.cohorts):
        raise ValueError(
            f"{run.folder}: no prediction has a DXA label, which clinical models are judged by; "
            "give a run whose cohorts have labels"
        )


def _refuse_one_fold(run: Run) -> None:
    """Refuse the run of one fold: what it held out is part of the training split."""
    if held := [c for c in run.cohorts if c.endswith("-heldout")]:
        raise ValueError(
            f"{run.folder}: the run of one fold, which held {held[0]} out: give the folder of all "
            "its folds, where every training row has a score that is out of fold"
        )


def _fit(
    run: Run, own: Cohort, image: str, train: Training, seed: int, monotone: bool
) -> tuple[Models, int, dict[str, int]]:
    """Every model, how many training rows there were, and the cells of them that were emptied."""
    directions = MONOTONE if monotone else {}
    where = f"{train.name}, training split"
    if folds_of(run):
        rows, emptied = own.rows, own.emptied
    else:
        rows, emptied = blank_implausible(train.rows)

    def clinical(some: Frame) -> Model:
        return fit_clinical(some, monotone=directions, seed=seed, where=where)

    combined = _combined(run, own, image, train, seed, monotone)
    models = Models(
        clinical=clinical(rows),
        clinical_own=out_of_fold(rows, clinical, seed=seed).margin if folds_of(run) else None,
        combined=combined,
        ost=_try(lambda: fit_ost(rows, where)),
        own=own.name,
    )
    return models, len(rows), emptied


def _try(make: Callable[[], Made]) -> Made | str:
    """What `make` makes, or why it cannot be made."""
    try:
        return make()
    except ValueError as e:
        return str(e)


def _combined(
    run: Run, own: Cohort, image: str, train: Training, seed: int, monotone: bool
) -> Fitted | str:
    """Fit to the rows of `own` that the image model scored; or say why that cannot be.

    Raises:
        ValueError: a score is of a model that learnt from its patient.
    """
    there = own.scored
    rows, score = own.rows[there], own.image[there]
    if folds_of(run):
        proof = fold_proof(run, train, image, rows, score)
    else:
        proof = OutOfSample.one_model(image, train.patients, len(rows))
    proof.check(rows["patient"])
    directions = MONOTONE | {IMAGE: 1} if monotone else {}

    def make() -> Fitted:
        margin = np.full(len(own.rows), np.nan)
        found = combined_out_of_fold(rows, score, proof, CLINICAL, directions, seed=seed)
        margin[there] = found.margin
        model = fit_combined(rows, score, proof, CLINICAL, directions, seed, own.name)
        return Fitted(model, margin)

    return _try(make)


def _threshold(label: Frame, margin: NDArray[np.float64]) -> float | None:
    """Youden's on the labelled rows that have a prediction; None where a class is missing."""
    there = label.notna().to_numpy(bool) & np.isfinite(margin)
    return youden_threshold(label[there].to_numpy(np.int64), expit(margin[there])).value


def _save(run: Run, models: dict[ModelName, Model], summary: Summary) -> None:
    """Models and, last, the summary."""
    names: tuple[ModelName, ...] = ("clinical", "combined")
    for name in names:
        kept = run.folder / "clinical" / name
        if name in models:
            models[name].save(kept)
        else:  # one of an earlier time would pass for this one
            (kept / "facts.json").unlink(missing_ok=True)
    text = canonical_json(summary.model_dump(mode="json")) + "\n"
    write_atomic(run.folder / "clinical" / "summary.json", text)
