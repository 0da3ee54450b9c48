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
    kind, world = how.pop("kind", "none"), how.pop("world", World(0, 1, torch.device("cpu")))
    return Stream(groups, slots, plain, kind, 3, world, **how)


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


@pytest.mark.parametrize("workers", [0, 1])
def test_what_is_handed_over_is_written_down(labelled, tmp_path, workers):
    """By two ranks, killed and resumed: each real sample of each step, as it was looked at."""
    path = tmp_path / "served"
    for rank in (0, 1):
        world = World(rank, 2, torch.device("cpu"))
        log = path / f"{rank}.jsonl"
        stream = made([labelled], (8,), world=world, served=log, loader_workers=workers)
        batches = stream.epoch(0)
        assert [next(batches).step for _ in range(2)] == [0, 1]
        del batches  # more may be on their way: they were not handed over
        lines = [json.loads(x) for x in log.read_text().splitlines()]
        assert [x["step"] for x in lines] == [0, 1]
        again = made([labelled], (8,), world=world, served=path / f"{rank}-again.jsonl")
        assert len(list(again.epoch(0, start=2))) == 4
    seen, pictures = {}, {}
    for n, key in enumerate(labelled.data.index["key"]):
        pictures[labelled.data.image(n).tobytes()] = f"here/{key}"
    for log in sorted(path.iterdir()):
        for x in map(json.loads, log.read_text().splitlines()):
            assert x["size"] == 2
            seen[x["epoch"], x["step"], x["rank"]] = x["keys"]
    assert sorted(seen) == [(0, step, rank) for step in range(6) for rank in (0, 1)]
    everyone = sorted(k for keys in seen.values() for k in keys if k)
    assert everyone == sorted(pictures.values())
    plain = made([labelled], (8,))  # the last step has padding
    for (_, step, rank), keys in seen.items():
        batch = plain.batch(0, step, rank, 2)
        shown = (batch.image * 0.226 + 0.449).mul(255).round().to(torch.uint8).numpy()
        real = batch.real.numpy() > 0
        assert [
            pictures[x.tobytes()] if r else None for x, r in zip(shown, real, strict=True)
        ] == keys


@pytest.mark.parametrize("kind", ["none", "weak", "strong"])
def test_on_the_device_the_same_pictures_are_made(labelled, kind):
    on = {w: made([labelled], (8,), kind=kind, augment_on=w) for w in ("cpu", "device")}
    for a, b in zip(on["cpu"].epoch(1), on["device"].epoch(1), strict=True):
        apart = (a.image - b.image).abs() * 0.226 * 255
        assert apart.max() < 1.5  # grey levels
        assert (apart < 0.01).float().mean() > 0.98
        assert torch.equal(a.label, b.label)
    assert a.step == b.step == 5


def test_weak_views_are_the_same_side_at_every_size(labelled):
    weak = made([labelled], (8,), kind="weak", weak=(24, 48, 96))
    strong = made([labelled], (8,), kind="strong", weak=(48,))
    mirrored = 0
    for a, b in zip(weak.epoch(0), strong.epoch(0), strict=True):
        assert [x.shape[1:] for x in a.weak] == [(24, 24), (48, 48), (96, 96)]
        plain = made([labelled], (8,)).batch(0, a.step, 0, 1)
        seen = weak.preprocessor.normalise(a.weak[1])
        assert torch.equal(a.image, seen)
        assert torch.equal(a.weak[1], b.weak[0])
        for x, y in zip(seen, plain.image, strict=True):
            assert torch.equal(x, y) or torch.equal(x, y.flip(2))
            mirrored += not torch.equal(x, y)
        half = torch.nn.functional.avg_pool2d(a.weak[1].float(), 2)
        assert (half - a.weak[0].float()).abs().max() <= 1
    assert 10 < mirrored < 38


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
    assert ShardDataset(folder / named, "test").remote, (
        "a report finds its pictures by the cache's folder"
    )


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
