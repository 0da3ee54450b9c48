"""Every row predicted by a model that never saw its patient.

    found = out_of_fold(rows, fit_clinical)

The model of each fold is fitted, selection included, on the patients of the other folds: the folds
that choose depth and rounds lie inside those (nested).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eval.clinical.folds import patient_folds
from eval.clinical.model import Model
from eval.frames import Frame

FOLDS = 5


@dataclass(frozen=True)
class OutOfFold:
    """Per row: probability [n], log odds [n], fold [n]. Per fold: the model and whom it saw."""

    probability: NDArray[np.float64]
    margin: NDArray[np.float64]
    fold: NDArray[np.int64]
    models: tuple[Model, ...]
    seen: tuple[frozenset[str], ...]


def out_of_fold(
    frame: Frame,
    fit: Callable[[Frame], Model],
    folds: int = FOLDS,
    seed: int = 0,
) -> OutOfFold:
    """Cross-fit a model.

    Args:
        frame: columns patient, label, and what `fit` reads. Rows without a label are predicted,
            and never fitted to.
        fit: rows -> model; it is handed the rows of the other folds.
        folds: of patients, classes spread evenly.
        seed: same seed, same folds.

    Raises:
        ValueError: too few patients of a class for that many folds or for a fit to the rest.
    """
    patient = frame["patient"].to_numpy(str)
    label = frame["label"].fillna(0).to_numpy(np.int64)
    fold = patient_folds(patient, label, folds, seed)
    probability, margin = np.empty(len(frame)), np.empty(len(frame))
    models, seen = [], []
    for f in range(folds):
        here = fold == f
        others = frame[~here]
        model = fit(others)
        models.append(model)
        seen.append(frozenset(others["patient"]))
        assert seen[-1].isdisjoint(patient[here])
        probability[here] = model.predict(frame[here])
        margin[here] = model.margin(frame[here])
    return OutOfFold(probability, margin, fold, tuple(models), tuple(seen))
