"""Proof that the training rows' scores of a cross-validated run are out of fold.

    RUN/run.json                 "folds": N
    RUN/folds/K                  the run of fold K, which held a part of the training patients out
    RUN/cohorts/NAME-train       every training row, scored by the model that did not learn from it

What the folder says is not believed: the score of each row must be the one that the run of its fold
gave it among the rows that this run held out, and that run's own configuration must say so.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from eval.clinical.combined import OutOfSample
from eval.clinical.split import Training
from eval.frames import Frame
from eval.runs import Run

#: float32 scores, through a file.
NEAR = 1e-6


def folds_of(run: Run) -> int | None:
    """How many folds a cross-validated run has; None of any other run.

    Raises:
        ValueError: run.json gives folds that cannot be.
    """
    stated = run.facts.get("folds")
    if stated is None:
        return None
    if not isinstance(stated, int) or isinstance(stated, bool) or stated < 2:
        raise ValueError(f"{run.folder / 'run.json'}: folds is {stated!r}, not a number above 1")
    return stated


def fold_proof(
    run: Run, train: Training, image: str, rows: Frame, score: NDArray[np.float64]
) -> OutOfSample:
    """Which fold's model scored each row, and the patients that it learnt from.

    Args:
        run: cross-validated.
        train: its training split.
        image: the model whose scores they are.
        rows: columns key and patient, of the out-of-fold cohort.
        score: what is said of each, [n].

    Raises:
        ValueError: a fold's run is not there, is of another fold, held out a patient that another
            one held out too, or gave a row another score; or nobody held a row out.
    """
    folds = folds_of(run)
    assert folds is not None, "only for a cross-validated run"
    key = rows["key"].to_numpy(str)
    by = np.full(key.size, "", dtype=object)
    seen: dict[str, frozenset[str]] = {}
    taken: dict[str, str] = {}
    for k in range(folds):
        name = f"fold {k}"
        held = _held_out(run, train.name, k, folds, image)
        patients = frozenset(held["patient"].astype(str))
        if both := sorted(patients.intersection(taken)):
            raise ValueError(
                f"{run.folder}: patient {both[0]} was held out by {taken[both[0]]} and by {name}: "
                "its score in one of them is of a model that learnt from it; train again"
            )
        taken |= dict.fromkeys(patients, name)
        seen[name] = train.patients - patients
        said = dict(zip(held["key"].astype(str), held["probability"].astype(float), strict=True))
        here = np.array([k in said for k in key], dtype=bool)
        given = np.array([said[k] for k in key[here]])
        if (np.abs(given - score[here]) > NEAR).any():
            raise ValueError(
                f"{run.folder}: {train.name}-train has scores that are not those of {name}, which "
                "held these rows out: they are not out of fold; put the run together again"
            )
        by[here] = name
    if bare := int((by == "").sum()):
        raise ValueError(
            f"{run.folder}: {bare} of {key.size} rows of {train.name}-train were held out by no "
            f"fold, such as {key[by == ''][0]}: their scores are of models that learnt from them"
        )
    return OutOfSample(by.astype(str), seen)


def _held_out(run: Run, name: str, k: int, folds: int, image: str) -> Frame:
    """The rows that fold `k` held out, as its model `image` scored them."""
    folder = run.folder / "folds" / str(k)
    cohort = f"{name}-heldout"
    if not folder.is_dir() or cohort not in Run.at(folder).cohorts:
        raise ValueError(
            f"{folder}: no predictions of {cohort}: without the runs of all {folds} folds nothing "
            "shows that the scores of training rows are out of fold"
        )
    fold = Run.at(folder)
    if (stated := _data(fold)) != (folds, k):
        raise ValueError(
            f"{folder}: config.yaml says that it is fold {stated[1]} of {stated[0]}, where fold "
            f"{k} of {folds} should lie"
        )
    frame = fold.predictions(cohort)
    return frame[frame["model"] == image]


def _data(fold: Run) -> tuple[Any, Any]:
    """``data.folds`` and ``data.fold`` of config.yaml; None where it does not say."""
    try:
        config = yaml.safe_load(fold.config)
    except yaml.YAMLError:
        config = None
    data = config.get("data") if isinstance(config, dict) else None
    return (data.get("folds"), data.get("fold")) if isinstance(data, dict) else (None, None)
