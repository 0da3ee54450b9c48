"""Which samples of a packed dataset a run learns from, and by which labels."""

from __future__ import annotations

import numpy as np
import pandas as pd

from data_sharding.reader import ShardDataset
from training.config import Config
from training.folds import fold_of


def learnt_from(config: Config, data: ShardDataset) -> ShardDataset:
    """The samples of the train or tune split that have a say, labelled by ``config.target``.

    Of the train split's folds the one that is held out is left out, and of its shards all but the
    first ``data.shards``; the tune split is not cut. It
    chooses epochs, temperatures and thresholds for every fold, so that the scores of a held-out
    patient come from a model that neither learnt from the patient nor was chosen by it.
    """
    label = target_labels(config, data)
    keep = np.ones(len(data), bool) if config.fracture else label.notna().to_numpy(bool)
    if data.split == "train":
        keep = keep & ~held_out(config, data) & in_first_shards(config, data)
    return data.only(np.flatnonzero(keep), label)


def held_out(config: Config, data: ShardDataset) -> np.ndarray:
    """bool [len(data)]: the samples of the train split in the part that is not learnt from."""
    if config.data.folds == 1:
        return np.zeros(len(data), bool)
    return folds_of(config, data) == config.data.fold


def in_first_shards(config: Config, data: ShardDataset) -> np.ndarray:
    """bool [len(data)]: the samples of the train split in its first ``data.shards`` shards.

    Samples lie in the order of their pseudonyms, which is chance, so some shards are a sample of
    the split; of patients with several pictures it has not always all.

    Raises:
        ValueError: the split has not as many shards.
    """
    if config.data.shards is None:
        return np.ones(len(data), bool)
    there = np.unique(data.shards)
    if config.data.shards > len(there):
        raise ValueError(
            f"data.shards={config.data.shards}: {data.manifest.name} has {len(there)} of the train "
            f"split; set {len(there)} or less, or null for all of them"
        )
    return data.shards <= there[config.data.shards - 1]


def folds_of(config: Config, data: ShardDataset) -> np.ndarray:
    """int64 [len(data)]: the part of each sample of the train split.

    Stratified by the packed label, or by fractures, whatever is learnt: the same parts for models
    of other targets.
    """
    by = data.index["fracture" if config.fracture else "label"].astype("Int64")
    patients = data.index["patient"].astype(str).tolist()
    return fold_of(patients, by.fillna(-1).to_numpy(np.int64), config.data.folds, config.seed)


def target_labels(config: Config, data: ShardDataset) -> pd.Series:
    """Int64 [len(data)]: what is learnt of each sample's label, missing where nothing is."""
    if config.fracture:
        return pd.Series(data.index["label"], dtype="Int64")
    return config.aim.labels(data.manifest, data.index)
