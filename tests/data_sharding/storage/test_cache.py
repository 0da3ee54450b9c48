"""The cache of shards: its limit, its parts, damage, and several real processes at once."""

from __future__ import annotations

import fcntl
import os
import pickle
import subprocess
import sys
import time
from pathlib import Path

import fsspec
import numpy as np
import pytest

from data_sharding.reader import ShardDataset
from data_sharding.schema import Manifest
from data_sharding.storage.cache import Cache, cache_limit
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
from data_sharding.storage.cache import Cache
from data_sharding.reader import ShardDataset
from tests.data_sharding.flaky import Flaky, read_all, N
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
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3]), "OMP_NUM_THREADS": "1"}
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
