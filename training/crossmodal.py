"""A cross-validated run of one modality teaches a model of another: radiographs teach faces.

    python -m training li2026 --folds 5 target='three classes'
    python -m training face2bone crossmodal.run=runs/li2026-folds5-0123456789 ...

The teacher is what the folds said of each patient: out of fold for those that they learnt from, so
that a probability is a judgement and no memory. A student's picture is taught by its patient's
probabilities (Hinton et al. 2015); a patient whom nobody judged is learnt from by the label alone.
Patients are the same where both datasets were packed with the same key and the same ``--name``.

No patient that the student is chosen or judged by may be one that the teacher learnt from: pack the
second dataset with ``--splits-of`` the first.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np
import pandas as pd

from data_sharding.reader import ShardDataset
from training.cohorts import TRAIN
from training.config import Config, CrossModal, predictions_of
from training.target import CLASS_COLUMNS, TARGETS
from training.tasks import Distil

#: Splits that the student is chosen or judged by, and what to do where the teacher learnt from one.
JUDGED = {
    ("tune", "test"): "pack it with --splits-of the dataset that the run learnt from",
    ("external",): "leave it out of paths.external",
}


def check_crossmodal(config: Config, indexes: Mapping[str, pd.DataFrame]) -> None:
    """See that the teacher may teach, before anything is learnt.

    Args:
        config: names the teacher, and the target.
        indexes: of the datasets of the run, by name; that which it learns from comes first.

    Raises:
        ValueError: the run is not cross-validated, learnt another target, knows none of the
            patients, or learnt from one that the student is chosen or judged by.
    """
    run = config.crossmodal.run
    said = _read(config.crossmodal, config.target)
    learnt_from = set(said.loc[said["cohort"].str.endswith(TRAIN), "patient"])
    mine, index = next(iter(indexes.items()))
    if not learnt_from & set(index["patient"]):
        raise ValueError(
            f"crossmodal.run={run}: none of its patients is in {mine}: pack both "
            "datasets with the same --name and --key-file"
        )
    for name, index in indexes.items():
        for splits, fix in JUDGED.items():
            judged = set(index.loc[index["split"].isin(splits), "patient"])
            if both := sorted(learnt_from & judged):
                raise ValueError(
                    f"crossmodal.run={run}: learnt from {len(both)} patients, such as {both[0]}, "
                    f"that {name} has in {' or '.join(splits)}: {fix}"
                )


def taught(cross: CrossModal, target: str, data: ShardDataset) -> np.ndarray:
    """float32 [len(data), 2, C]: log probabilities of both views, NaN where nobody judged."""
    said = _read(cross, target)
    classes = len(TARGETS[target].classes)
    p_NC = _probabilities(said, classes)
    who, at = np.unique(said["patient"].to_numpy(str), return_inverse=True)
    mean = np.stack([np.bincount(at, p) / np.bincount(at) for p in p_NC.T], axis=1)
    row = {patient: i for i, patient in enumerate(who)}
    unknown = np.full(classes, np.nan)
    each = np.stack([mean[row[p]] if p in row else unknown for p in data.index["patient"]])
    log_p = np.log(np.clip(each, 1e-6, None)).astype(np.float32)
    return np.repeat(log_p[:, None], 2, axis=1)


def distil(cross: CrossModal, names: tuple[str, ...]) -> Distil:
    """What the student learns: labels, and what its patients' teacher says."""
    return Distil(cross.temperature, cross.alpha, names=names)


def _probabilities(said: pd.DataFrame, classes: int) -> np.ndarray:
    """float64 [N, C]."""
    if classes == len(CLASS_COLUMNS):
        return said[list(CLASS_COLUMNS)].to_numpy(np.float64)
    p = said["probability"].to_numpy(np.float64)
    return np.stack([1 - p, p], axis=1)


def _read(cross: CrossModal, target: str) -> pd.DataFrame:
    """What the run said of the patients of its own site."""
    assert cross.run is not None
    try:
        facts = json.loads((cross.run / "run.json").read_text())
        complete, learnt = facts["complete"], facts["target"]
        model = facts["models"][-1]
        files = predictions_of(cross.run)
        frames = [pd.read_parquet(file) for file in files]
    except (OSError, ValueError, KeyError, IndexError, TypeError) as e:
        raise ValueError(f"crossmodal.run={cross.run}: not a run: {e}") from e
    if not complete:
        raise ValueError(f"crossmodal.run={cross.run}: not complete; give its command again")
    if learnt != target:
        raise ValueError(f"crossmodal.run={cross.run}: learnt {learnt}, and this learns {target}")
    said = pd.concat(frames, ignore_index=True)
    return said.loc[said["model"] == model].reset_index(drop=True)
