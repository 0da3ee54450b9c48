"""Boosted trees with a small fixed grid, chosen by patients held out inside the training rows.

XGBoost's binary:logistic on one thread and without any sampling: equal rows give equal bytes. Depth
and the number of rounds are those with the lowest mean log loss over patient folds; the step is
fixed at 0.05. Missing values go down the branch that the training rows say (XGBoost's own way).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import xgboost
from numpy.typing import NDArray

from data_sharding.schema import Strict
from eval.clinical.folds import folds_that_fit, patient_folds

DEPTHS = (2, 3, 4)
ROUNDS = 500
PATIENCE = 20
FOLDS = 5
#: Fewer patients of a kind than this teach trees nothing that holds.
FEWEST = 10


class Tried(Strict):
    """One point of the grid: its best number of rounds and mean held-out log loss there."""

    depth: int
    rounds: int
    log_loss: float


def settings(depth: int, monotone: tuple[int, ...], seed: int) -> dict[str, Any]:
    """XGBoost's parameters. `monotone`: 1 (risk rises with it), -1 or 0 for each feature."""
    return {
        "objective": "binary:logistic",
        "eval_metric": "logloss",
        "tree_method": "hist",
        "eta": 0.05,
        "max_depth": depth,
        "min_child_weight": 5,
        "nthread": 1,
        "seed": seed,
        "monotone_constraints": monotone,
        "verbosity": 0,
    }


def select(
    x: NDArray[np.float64],
    y: NDArray[np.int64],
    patient: NDArray,
    monotone: tuple[int, ...],
    seed: int,
) -> tuple[Tried, ...]:
    """Every point of the grid, the best first; of equals the shallower, of rounds the fewer.

    Args:
        x: float [n, k], NaN where missing.
        y: 0 or 1, [n].
        patient: [n].
        monotone: as `settings`.
        seed: decides the folds.

    Raises:
        ValueError: a kind of patient (with or without a positive row) has fewer than 10.
    """
    folds = folds_that_fit(patient, y, max(FOLDS, FEWEST))
    if folds < FEWEST:
        raise ValueError(
            f"{folds} patients of a class are too few to fit a model to: {FEWEST} at least"
        )
    fold = patient_folds(patient, y, FOLDS, seed)
    tried = [_tried(x, y, fold, depth, monotone, seed) for depth in DEPTHS]
    return tuple(sorted(tried, key=lambda t: (t.log_loss, t.depth)))


def train(
    x: NDArray[np.float64],
    y: NDArray[np.int64],
    depth: int,
    rounds: int,
    monotone: tuple[int, ...],
    seed: int,
) -> xgboost.Booster:
    """Trees fitted to all the rows given."""
    return xgboost.train(settings(depth, monotone, seed), table(x, y), rounds)


def table(x: NDArray[np.float64], y: NDArray[np.int64] | None = None) -> xgboost.DMatrix:
    """Rows as XGBoost takes them; features have no names there, only an order."""
    return xgboost.DMatrix(x, y, missing=np.nan, nthread=1)


def _tried(
    x: NDArray[np.float64],
    y: NDArray[np.int64],
    fold: NDArray[np.int64],
    depth: int,
    monotone: tuple[int, ...],
    seed: int,
) -> Tried:
    curves = [_curve(x, y, fold == f, depth, monotone, seed) for f in range(FOLDS)]
    # (fold, rounds), as far as all folds went
    mean = np.mean([c[: min(map(len, curves))] for c in curves], axis=0)
    return Tried(depth=depth, rounds=int(mean.argmin()) + 1, log_loss=float(mean.min()))


def _curve(
    x: NDArray[np.float64],
    y: NDArray[np.int64],
    held: NDArray[np.bool_],
    depth: int,
    monotone: tuple[int, ...],
    seed: int,
) -> list[float]:
    """Log loss on the held-out rows after each round, until it has not fallen for `PATIENCE`."""
    seen: dict[str, Any] = {}
    xgboost.train(
        settings(depth, monotone, seed),
        table(x[~held], y[~held]),
        ROUNDS,
        evals=[(table(x[held], y[held]), "held")],
        evals_result=seen,
        early_stopping_rounds=PATIENCE,
        verbose_eval=False,
    )
    return seen["held"]["logloss"]
