"""Datasets in object stores: real fsspec file systems, one of which fails, and real processes."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import pickle
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import ClassVar

import fsspec
import numpy as np
import pytest
from fsspec.implementations.local import LocalFileSystem

from data_sharding.cache import Cache, cache_limit
from data_sharding.reader import ShardDataset
from data_sharding.schema import Manifest
from data_sharding.store import Store, open_place
from tests.data_sharding.many import make_few

N, PER_SHARD, SHAPE = 40, 8, (32, 32)


class Flaky(LocalFileSystem):
    """The local disk, with a network's temper. `plan`: file name -> what to do, once each."""

    protocol = "flaky"
    cachable = False
    plan: ClassVar[dict[str, list[str]]] = {}
    opened: ClassVar[list[str]] = []

    def open(self, path, mode="rb", **options):
        name = Path(path).name
        Flaky.opened.append(name)
        trouble = Flaky.plan.get(name) or [""]
        what = trouble.pop(0)
        if what == "refused":
            raise ConnectionResetError("connection reset by peer")
        if what == "slow down":
            raise RuntimeError("SlowDown: please reduce your request rate")
        if what == "denied":
            raise PermissionError("AccessDenied")
        file = super().open(path, mode, **options)
        return Broken(file, what) if what else file


class Broken:
    """A file that ends early, fails in the middle, or comes with a wrong byte."""

    def __init__(self, file, what: str) -> None:
        self.file, self.what, self.reads = file, what, 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def read(self, size: int) -> bytes:
        self.reads += 1
        data = self.file.read(1000 if self.what in ("short", "dropped") else size)
        if self.what == "short":
            return data if self.reads == 1 else b""
        if self.what == "dropped" and self.reads > 1:
            raise TimeoutError("read timed out")
        if self.what == "longer":
            return data if self.reads == 1 else bytes(10) if self.reads == 2 else b""
        return data[:-1] + bytes([data[-1] ^ 1]) if data and self.what == "flipped" else data


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


def read_all(data: ShardDataset) -> list[int]:
    return [int(data.image(i).reshape(-1)[:4].copy().view("<u4")[0]) for i in range(len(data))]


def impatient(url: str, cache: Cache) -> ShardDataset:
    """Opened with pauses too short to wait for."""
    data = ShardDataset(url, cache=cache)
    assert data._store is not None
    data._store.pause = 0.001
    return data


def objects(cache: Cache) -> list[Path]:
    return sorted((cache.folder / "objects").iterdir())


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
    monkeypatch.setattr("data_sharding.store.time.sleep", slept.append)
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


def test_the_cache_stays_within_its_limit_and_the_oldest_goes(source, tmp_path):
    shards = Manifest.load(source).shards
    size = shards[0].bytes
    small = Cache(tmp_path / "small", 2 * size + size // 2)
    data = ShardDataset(f"flaky://{source}", cache=small)
    views = []
    for n in (0, 1, 0, 2, 3):  # 0 is used again, in another process, before 2 comes
        if n == 0:
            data = pickle.loads(pickle.dumps(data))
        views.append((n, data.image(n * PER_SHARD)))
        time.sleep(0.01)
        assert sum(p.stat().st_size for p in objects(small)) <= small.limit
    assert {p.name for p in objects(small)} == {shards[2].sha256, shards[3].sha256}
    assert [f for f in Flaky.opened if f.endswith("tar")] == [shards[n].path for n in (0, 1, 2, 3)]
    # What was given up is still readable where it is mapped ...
    for n, view in views:
        assert view.reshape(-1)[:4].view("<u4")[0] == n * PER_SHARD
    # ... but not kept open longer than need be: 0 was given up before 3 came, or as it came.
    data.image(4 * PER_SHARD)
    assert set(data._maps) <= {2, 3, 4}
    assert read_all(data) == list(range(N))


def test_a_damaged_object_is_fetched_again(source, there):
    url = f"flaky://{source}"
    read_all(ShardDataset(url, cache=there))
    victim = objects(there)[0]
    raw = bytearray(victim.read_bytes())
    raw[3000] ^= 1
    victim.write_bytes(raw)
    objects(there)[1].write_bytes(b"")
    before = len(Flaky.opened)
    assert read_all(ShardDataset(url, cache=there)) == list(range(N))
    assert len(Flaky.opened) - before == 1 + 2


def test_a_part_left_by_a_dead_process_makes_room(source, tmp_path):
    shard = Manifest.load(source).shards[0]
    small = Cache(tmp_path / "small", shard.bytes)
    left = small.folder / "objects" / f"{'0' * 64}.part"
    left.write_bytes(bytes(shard.bytes))
    assert ShardDataset(f"flaky://{source}", cache=small).image(0).shape == SHAPE
    assert not left.exists()


def test_a_part_that_is_being_written_is_waited_for(source, tmp_path):
    shard = Manifest.load(source).shards[0]
    small = Cache(tmp_path / "small", shard.bytes)
    data = ShardDataset(f"flaky://{source}", cache=small)
    part = small.folder / "objects" / f"{'0' * 64}.part"
    part.write_bytes(bytes(shard.bytes))
    with (small.folder / "locks" / ("0" * 64)).open("a+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        data.prefetch(np.array([0]))  # in a thread, which cannot but wait
        time.sleep(0.3)
        assert part.exists()
        assert [p.name for p in objects(small)] == [part.name]
    deadline = time.monotonic() + 10
    while [p.name for p in objects(small)] != [shard.sha256] and time.monotonic() < deadline:
        time.sleep(0.01)
    assert [p.name for p in objects(small)] == [shard.sha256]


def test_prefetched_shards_are_there_when_they_are_needed(source, there):
    data = ShardDataset(f"flaky://{source}", cache=there)
    data.prefetch(np.arange(N))
    data.prefetch(np.arange(N))
    deadline = time.monotonic() + 10
    while len(objects(there)) < N // PER_SHARD and time.monotonic() < deadline:
        time.sleep(0.01)
    assert read_all(data) == list(range(N))
    assert len([f for f in Flaky.opened if f.endswith(".tar")]) == N // PER_SHARD


PROCESS = """
import sys, time
from pathlib import Path
import fsspec
from data_sharding.cache import Cache
from data_sharding.reader import ShardDataset
from tests.data_sharding.test_store import Flaky, read_all, N
fsspec.register_implementation("flaky", Flaky, clobber=True)
url, cache, limit, start = sys.argv[1:]
while time.time() < float(start):
    time.sleep(0.001)
data = ShardDataset(url, cache=Cache(Path(cache), int(limit)))
for _ in range(3):
    assert read_all(data) == list(range(N))
    data = ShardDataset(url, cache=Cache(Path(cache), int(limit)))
print(sum(name.endswith(".tar") for name in Flaky.opened))
"""


@pytest.mark.parametrize("fits", [True, False])
def test_processes_of_one_node_share_the_downloads(source, tmp_path, fits):
    """Four processes at once. Where all fits, each shard is fetched once by one of them; where two
    shards fit, they take them from each other and still read nothing but the truth."""
    shards = Manifest.load(source).shards
    limit = sum(s.bytes for s in shards) if fits else 2 * shards[0].bytes
    command = [sys.executable, "-c", PROCESS, f"flaky://{source}", str(tmp_path / "cache")]
    command += [str(limit), str(time.time() + 2.5)]
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env)
        for _ in range(4)
    ]
    ended = [(p.communicate(timeout=60), p.returncode) for p in running]
    assert all(code == 0 for _, code in ended), [e[1].decode()[-2000:] for e, _ in ended]
    fetched = sum(int(out) for (out, _), _ in ended)
    assert fetched == len(shards) if fits else fetched >= len(shards)
    kept = Cache(tmp_path / "cache", limit)
    assert sum(p.stat().st_size for p in objects(kept)) <= limit


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


def test_a_cache_too_small_for_the_order_is_refused(source, tmp_path):
    shard = Manifest.load(source).shards[0]
    data = ShardDataset(f"flaky://{source}", cache=Cache(tmp_path / "small", 3 * shard.bytes))
    data.check_cache(3)
    with pytest.raises(ValueError, match="Set OSTEORAY_CACHE_GIB, or data"):
        data.check_cache(4)
    with pytest.raises(ValueError, match="take"):
        data.check_cache(0)
    ShardDataset(source).check_cache(10**6)


def test_sizes_from_the_environment(monkeypatch, tmp_path):
    monkeypatch.delenv("OSTEORAY_CACHE_GIB", raising=False)
    assert cache_limit() == 64 * 2**30
    monkeypatch.setenv("OSTEORAY_CACHE_GIB", "0.5")
    monkeypatch.setenv("OSTEORAY_CACHE", str(tmp_path / "here"))
    assert (Cache().limit, Cache().folder) == (2**29, tmp_path / "here")
    for wrong in ("much", "-1", "0", "nan", "inf"):
        monkeypatch.setenv("OSTEORAY_CACHE_GIB", wrong)
        with pytest.raises(ValueError, match="OSTEORAY_CACHE_GIB"):
            cache_limit()
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="no place for a cache"):
        Cache(tmp_path / "file", 1)
