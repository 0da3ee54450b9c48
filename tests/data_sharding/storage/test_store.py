"""Datasets in object stores: real fsspec file systems, one of which fails."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import fsspec
import numpy as np
import pytest

from data_sharding.reader import ShardDataset
from data_sharding.schema import Manifest
from data_sharding.storage.cache import Cache
from data_sharding.storage.store import Store, open_place
from tests.data_sharding.flaky import PER_SHARD, SHAPE, Flaky, N, objects, read_all
from tests.data_sharding.many import make_few


@pytest.fixture(autouse=True)
def registered():
    fsspec.register_implementation("flaky", Flaky, clobber=True)
    Flaky.plan, Flaky.opened = {}, []


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_few(tmp_path_factory.mktemp("source") / "few", N, PER_SHARD, SHAPE)


@pytest.fixture
def there(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache", 10**9)


def impatient(url: str, cache: Cache) -> ShardDataset:
    """Opened with pauses too short to wait for."""
    data = ShardDataset(url, cache=cache)
    assert data._store is not None
    data._store.pause = 0.001
    return data


@pytest.mark.parametrize("protocol", ["file", "memory", "flaky"])
def test_a_url_is_read_like_a_folder(source, there, protocol):
    url = f"{protocol}://{source}"
    if protocol == "memory":
        memory = fsspec.filesystem("memory")
        for path in source.iterdir():
            memory.pipe(f"{source}/{path.name}", path.read_bytes())
    ours, plain = ShardDataset(url, "train", cache=there), ShardDataset(source, "train")
    assert ours.remote
    assert not plain.remote
    assert objects(there) == [], "no shard before it is asked for"
    assert ours.manifest == plain.manifest
    assert ours.index.equals(plain.index)
    for i in range(N):
        assert np.array_equal(ours.image(i), plain.image(i))
        assert ours.sample(i) == plain.sample(i)
    assert [p.name for p in objects(there)] == sorted(s.sha256 for s in plain.manifest.shards)
    assert (ours.folder / "ledger.csv").read_bytes() == (source / "ledger.csv").read_bytes()


def test_what_is_in_the_cache_is_not_fetched_again(source, there):
    read_all(ShardDataset(f"flaky://{source}", cache=there))
    first = len(Flaky.opened)
    assert first == 3 + N // PER_SHARD
    read_all(ShardDataset(f"flaky://{source}", cache=there))
    assert Flaky.opened[first:] == ["manifest.json"]


@pytest.mark.parametrize("what", ["refused", "slow down", "dropped", "short", "longer", "flipped"])
def test_what_passes_is_tried_again(source, there, what):
    data = impatient(f"flaky://{source}", there)
    bad = data.manifest.shards[0].path
    Flaky.plan = {bad: [what] * 4}
    assert read_all(data) == list(range(N))
    assert Flaky.opened.count(bad) == 5


@pytest.mark.parametrize("name", ["manifest.json", "index.parquet", "ledger.csv"])
def test_the_small_files_are_tried_again_too(source, there, name):
    Flaky.plan = {name: ["slow down" if name == "manifest.json" else "flipped", "refused"]}
    store = Store(f"flaky://{source}", there, pause=0.001)
    assert Manifest.load(store.mirror()) == Manifest.load(source)
    assert Flaky.opened.count(name) == 3


def test_pauses_grow(source, there, monkeypatch):
    slept: list[float] = []
    monkeypatch.setattr("data_sharding.storage.store.time.sleep", slept.append)
    Flaky.plan = {"manifest.json": ["refused"] * 4}
    Store(f"flaky://{source}", there).mirror()
    assert slept == [0.5, 1.0, 2.0, 4.0]


@pytest.mark.parametrize(
    ("what", "times", "why"),
    [
        ("flipped", 5, "sha256 differs"),
        ("longer", 5, "more than the"),
        ("short", 5, "sha256 differs"),
        ("refused", 5, "connection reset by peer"),
        ("denied", 1, "AccessDenied"),
    ],
)
def test_what_stays_is_said_and_nothing_of_it_is_served(source, there, what, times, why):
    data = impatient(f"flaky://{source}", there)
    bad = data.manifest.shards[1].path
    Flaky.plan = {bad: [what] * 99}
    with pytest.raises(ValueError, match=why) as caught:
        data.image(PER_SHARD)
    assert f"flaky://{source}/{bad}" in str(caught.value)
    assert Flaky.opened.count(bad) == times
    assert objects(there) == [], "neither the shard nor a part of it"
    assert data.image(0).shape == SHAPE


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("flaky:///nowhere/at/all", "FileNotFoundError"),
        ("nosuchscheme://bucket/x", "nosuchscheme"),
        ("simplecache::file:///x", "chained"),
    ],
)
def test_urls_that_lead_nowhere(there, url, why):
    with pytest.raises(ValueError, match=why):
        ShardDataset(url, cache=there)


def forged(source: Path, tmp_path: Path, **changes) -> Path:
    folder = Path(shutil.copytree(source, tmp_path / "forged"))
    raw = json.loads((folder / "manifest.json").read_text())
    raw["shards"][0] |= changes
    (folder / "manifest.json").write_text(json.dumps(raw))
    return folder


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"sha256": "../../x"}, "not a sha256"),
        ({"sha256": "A" * 64}, "not a sha256"),
        ({"bytes": 10**15}, "do not go into a cache"),
        ({"bytes": -1}, "do not go into a cache"),
    ],
)
def test_manifests_that_lie_about_a_shard(source, there, tmp_path, changes, why):
    data = ShardDataset(f"flaky://{forged(source, tmp_path, **changes)}", cache=there)
    with pytest.raises(ValueError, match=why):
        data.image(0)
    assert objects(there) == []


def test_a_manifest_that_names_files_elsewhere(source, there, tmp_path):
    folder = Path(shutil.copytree(source, tmp_path / "forged"))
    raw = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(raw | {"ledger": "../../../x"}))
    with pytest.raises(ValueError, match="not a file beside it"):
        ShardDataset(f"flaky://{folder}", cache=there)
    (folder / "manifest.json").write_text("{")
    with pytest.raises(ValueError, match="not a manifest"):
        ShardDataset(f"flaky://{folder}", cache=there)


def test_a_hostile_tar_with_the_right_hash_is_refused(source, there, tmp_path):
    path = source / Manifest.load(source).shards[0].path
    raw = path.read_bytes()
    raw = raw[:-1] + b"x"
    folder = forged(source, tmp_path, sha256=hashlib.sha256(raw).hexdigest())
    (folder / path.name).write_bytes(raw)
    data = ShardDataset(f"flaky://{folder}", cache=there)
    with pytest.raises(ValueError, match="follows the end"):
        data.image(0)
    assert Flaky.opened.count(path.name) == 1
    assert objects(there) == []


def test_a_mirror_stands_for_its_url(source, there, tmp_path):
    folder, store = open_place(f"flaky://{source}", there)
    assert store is not None
    data = ShardDataset(folder, cache=there)
    assert data.remote
    assert read_all(data) == list(range(N))
    # nobody else's folder sends us anywhere
    elsewhere = Path(shutil.copytree(folder, tmp_path / "elsewhere"))
    assert open_place(elsewhere, there) == (elsewhere, None)
    assert open_place(source) == (source, None)
