"""What the stream is made of: places in a batch, strata, object stores, and settings for them."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from data_sharding.reader import ShardDataset
from data_sharding.schema import sha256_file
from training.config import REMOTE_SPREAD, Config
from training.launch import complete, launch, prepare
from training.overrides import override
from training.preprocess import Preprocessor
from training.recipes import recipe
from training.stages import slots_of
from training.stream import Group, Stream, _shard_sizes
from training.world import World


@pytest.fixture
def labelled(packs) -> Group:
    train = ShardDataset(packs["internal"], "train")
    return Group(train, np.arange(len(train)), train.index["label"].to_numpy(np.int64))


def made(groups: list[Group], slots: tuple[int, ...], **how) -> Stream:
    shape = groups[0].data.manifest.image_shape
    plain = Preprocessor(size=48, mean=0.449, std=0.226, pixels="drawn/1", shape=shape)
    return Stream(groups, slots, plain, "none", 3, World(0, 1, torch.device("cpu")), **how)


@pytest.mark.parametrize("rows", [np.arange(45), np.arange(0, 45, 3), np.array([40, 1, 2])])
def test_shards_are_counted_among_the_rows_of_a_group(labelled, rows):
    group = Group(labelled.data, rows, labelled.labels[rows])
    want: list[tuple[str, int]] = []
    for name in labelled.data.index["shard"].to_numpy()[rows]:
        if not want or want[-1][0] != name:
            want.append((name, 0))
        want[-1] = (name, want[-1][1] + 1)
    assert _shard_sizes(group) == tuple(n for _, n in want)


@pytest.mark.parametrize("spread", [0, 2])
@pytest.mark.parametrize("prevalence", [0.2, 0.5])
def test_strata_hold_in_what_is_served(labelled, spread, prevalence):
    positive, negative = np.flatnonzero(labelled.labels == 1), np.flatnonzero(labelled.labels == 0)
    rows = np.sort(np.concatenate([negative[:20], positive[: round(20 * prevalence * 1.1)]]))
    group = Group(labelled.data, rows, labelled.labels[rows])
    stream = made([group], (8,), stratify=True, spread=spread)
    share, seen = float(group.labels.mean()), []
    for batch in stream.epoch(0):
        real = batch.label[batch.real > 0]
        assert abs(real.sum().item() - share * len(real)) < 1
        seen += real.tolist()
    assert sorted(seen) == sorted(group.labels.tolist())


def test_labelled_to_proxies_is_three_to_one_whatever_passed_the_thresholds(labelled):
    few = Group(labelled.data, np.arange(2), np.array([1, 1]))
    many = Group(labelled.data, np.arange(9), np.zeros(9, np.int64))
    slots = slots_of(64, 0.25, [labelled, many, few])
    assert slots[0] == 48
    assert slots[2] == round(16 * labelled.labels.mean())
    assert sum(slots) == 64
    assert slots_of(64, 0.25, [labelled]) == (64,)
    for batch in (1, 2, 3, 8):
        assert min(slots_of(batch, 0.99, [labelled, many, few])[:1]) >= 1


def test_the_place_of_the_data_changes_nothing(tiny, packs):
    """A run from an object store learns what the same order from the disk does, and goes into the
    same folder: where data lie is no part of a run."""
    short = ["pseudo.enabled=false", "student.alpha=0", "teacher.epochs=1", "student.epochs=1"]
    found = {}
    for where in ("{}", "file://{}"):
        places = [f"paths.internal={where.format(packs['internal'])}"]
        places += [f"paths.external=[{where.format(packs['external'])}]"]
        config = tiny(*short, *places, "data.spread=2")
        folder = prepare(config, fresh=True)
        launch(config, folder)
        assert complete(folder)
        cohort = folder / "cohorts" / "there-external" / "predictions.parquet"
        weights = folder / "student" / "weights" / "model.safetensors"
        found[where] = (folder, sha256_file(weights), sha256_file(cohort))
    assert found["{}"] == found["file://{}"]
    named = json.loads((folder / "run.json").read_text())["manifests"]["here"]["path"]
    assert ShardDataset(named, "test").remote, "a report finds its pictures by the cache's folder"


def test_urls_keep_their_slashes_and_ask_for_blocks():
    local = recipe("ospenscreen:smoke")
    remote = override(local, ["paths.internal=s3://bucket/asan", "paths.external=[gs://b/north]"])
    assert remote.paths.internal == "s3://bucket/asan"
    assert remote.paths.external == ("gs://b/north",)
    assert (local.spread, remote.spread) == (0, REMOTE_SPREAD)
    again = Config.model_validate(remote.model_dump(mode="json"))
    assert again == remote
    assert override(remote, ["data.spread=0"]).spread == 0
    # The order is part of a run, the place of its data is not.
    assert local.identity({}) != remote.identity({})
    same = f"data.spread={REMOTE_SPREAD}"
    assert override(local, [same]).identity({}) == remote.identity({})
    assert override(local, ["data.stratify=false"]).identity({}) != local.identity({})
