"""Who was seen by whom: an out-of-fold score must come from a model that never saw the patient.

Nothing is taken on trust: not that a fold's folder is the run that was planned, nor that its
held-out predictions were made by its own weights, nor whom they are of.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from data_sharding.reader import ShardDataset
from training.cohorts import HELD_OUT
from training.config import Config
from training.crossvalidate.plan import Fold, Plan
from training.folder import read_facts
from training.predictions import made_with, weights_said
from training.samples import folds_of, learnt_from

FIX = "remove {} and give the same command again"


def check_run(fold: Fold) -> None:
    """The fold's folder holds the run that was planned, and its own models' predictions.

    Raises:
        ValueError: it does not; names the file and what to do.
    """
    fix = FIX.format(fold.folder)
    if (found := read_facts(fold.folder).get("identity")) != fold.identity:
        raise ValueError(f"{fold.folder}/run.json: of another run ({found}); {fix}")
    told = Config.from_yaml(fold.folder / "config.yaml")
    if told.decided() != fold.config.decided():
        raise ValueError(f"{fold.folder}/config.yaml: edited, its name says other settings; {fix}")
    said = weights_said(fold.folder, fold.config.models)
    for path in sorted(fold.folder.glob("cohorts/*/predictions.parquet")):
        if made_with(path) != said:
            raise ValueError(f"{path}: not made by this fold's weights; {fix}")


def check_unseen(plan: Plan, held: Mapping[int, pd.DataFrame]) -> None:
    """Every row of the train split is held out by one fold, which has not seen its patient.

    Args:
        plan: the cross-validation.
        held: fold -> its held-out predictions.

    Raises:
        ValueError: a row is of another fold, or of a patient that its fold learnt from, or tuned
            by; or is missing.
    """
    train, tune = (ShardDataset(plan.config.paths.internal, split) for split in ("train", "tune"))
    part, key = folds_of(plan.config, train), train.index["key"].to_numpy(str)
    for fold in plan.folds:
        where = f"{fold.folder}: cohort {train.manifest.name}-{HELD_OUT}"
        rows = held[fold.number]
        seen = set(learnt_from(fold.config, train).index["patient"]) | set(tune.index["patient"])
        if leaked := sorted(set(rows["patient"]) & seen):
            raise ValueError(
                f"{where}: {len(leaked)} patients whom this fold's models learnt from or were "
                f"chosen by, such as {leaked[0]}; {FIX.format(fold.folder)}"
            )
        wanted = np.sort(key[part == fold.number])
        for model, its in rows.groupby("model"):
            if not np.array_equal(np.sort(its["key"].to_numpy(str)), wanted):
                raise ValueError(
                    f"{where}, {model}: not the {len(wanted)} pictures of part {fold.number}; "
                    f"{FIX.format(fold.folder)}"
                )
