"""Raw batches: the order of `order`, from any workers, and nothing left behind.

What was served is read from the pixels. Workers are real processes.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import shutil
import subprocess
import sys
import textwrap
import time
from itertools import islice
from pathlib import Path

import numpy as np
import psutil
import pytest

from data_sharding.batches import Batch, Batches
from data_sharding.order import Plan, global_batch
from data_sharding.reader import ShardDataset
from data_sharding.storage.cache import Cache
from tests.data_sharding.many import make_few, picture

SHAPE = (4, 4)
ROWS = (np.random.default_rng(0).permutation(41)[:37], np.arange(11))
PLAN = Plan((37, 11), (10, 3), seed=5, identity="two", spread=2, shards=((7,) * 5 + (2,), (7, 4)))
STEPS = 4

#: Uses batches and leaves them as they are: says who its workers are, and ends or waits.
LEFT = """
    import sys, time
    import numpy as np
    from multiprocessing import active_children
    from data_sharding.batches import Batches
    from data_sharding.order import Plan
    from data_sharding.reader import ShardDataset

    if __name__ == "__main__":
        data = ShardDataset(sys.argv[1])
        batches = Batches([data], Plan((len(data),), (4,), 0), workers=1)
        epoch = batches.epoch(0)
        next(epoch)
        assert "torch" not in sys.modules
        print(active_children()[0].pid, flush=True)
        time.sleep(float(sys.argv[2]))
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> list[ShardDataset]:
    root = tmp_path_factory.mktemp("batches")
    sizes = {"a": 41, "b": 11}
    return [ShardDataset(make_few(root / name, n, 7, SHAPE, name)) for name, n in sizes.items()]


def children() -> set[int]:
    """Processes of this one, dead ones too, but for the one that multiprocessing keeps."""
    found = set()
    for process in psutil.Process().children(recursive=True):
        zombie = process.status() == psutil.STATUS_ZOMBIE
        if zombie or not any("resource_tracker" in word for word in process.cmdline()):
            found.add(process.pid)
    return found


def seen(batch: Batch) -> list[tuple[int, int]]:
    """(dataset, sample) of each row; what is in the pixels must be what the ids say."""
    for image, (_, row), real in zip(batch.images, batch.ids.tolist(), batch.real, strict=True):
        want = picture(row, SHAPE) if real else np.zeros(SHAPE, np.uint8)
        assert np.array_equal(image, want)
    assert np.array_equal(batch.real, batch.ids[:, 0] >= 0)
    return [(group, row) for group, row in batch.ids.tolist()]


def due(epoch: int, step: int, rank: int, world: int) -> list[tuple[int, int]]:
    """The same from the order alone, row by row."""
    rows = [(g, int(ROWS[g][i]) if g >= 0 else -1) for g, i in global_batch(PLAN, epoch, step)]
    rows += [(-1, -1)] * (-len(rows) % world)
    return rows[rank::world]


@pytest.mark.parametrize("world", [1, 2, 3, 5, 16])
def test_the_ranks_together_serve_the_global_batches(data, world):
    for epoch, start in ((0, 0), (1, 2), (7, 3)):
        ranks = [Batches(data, PLAN, rows=ROWS, rank=r, world=world) for r in range(world)]
        served = [[seen(b) for b in each.epoch(epoch, start)] for each in ranks]
        steps = range(start, STEPS)
        assert served == [[due(epoch, s, r, world) for s in steps] for r in range(world)]


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_dropped_anywhere_and_resumed_it_goes_on_where_it_was(data, workers):
    rng, before = np.random.default_rng(workers), children()
    with Batches(data, PLAN, rows=ROWS, rank=1, world=2, workers=workers) as batches:
        pids = children() - before
        for _ in range(60):
            epoch, start = int(rng.integers(3)), int(rng.integers(STEPS + 1))
            stop = int(rng.integers(start, STEPS + 1))
            served = [seen(b) for b in islice(batches.epoch(epoch, start), stop - start)]
            assert served == [due(epoch, step, 1, 2) for step in range(start, stop)]
        assert len(pids) == workers
        assert children() - before == pids, "workers live on"


@pytest.mark.parametrize("workers", [0, 2])
def test_a_batch_stays_until_the_next_two_have_been_taken(data, workers):
    with Batches(data, PLAN, rows=ROWS, workers=workers, ahead=1) as batches:
        held: list[Batch] = []
        places = set()
        for batch in (b for e in range(4) for b in batches.epoch(e)):
            held = [*held[-1:], batch]
            if workers:  # they have had the time to do all they were asked for
                time.sleep(0.01)
            for each in held:
                seen(each)
            places.add(batch.images.ctypes.data)
        assert len(places) == max(workers, 1) + 1, "memory that is used again and again"
        batches.close()
        for each in held:
            seen(each)


def test_a_dropped_iterator_takes_nothing_from_what_was_taken(data):
    with Batches(data, PLAN, rows=ROWS, workers=1, ahead=3) as batches:
        held: list[Batch] = []
        for epoch in range(12):
            held = [*held[-1:], next(batches.epoch(epoch, epoch % STEPS))]
            time.sleep(0.005)
            for each in held:
                seen(each)


def test_copies_are_the_callers(data):
    batches = Batches(data, PLAN, rows=ROWS, copy=True)
    whole = list(batches.epoch(0))
    assert [seen(b) for b in whole] == [due(0, step, 0, 1) for step in range(STEPS)]
    assert all(b.images.flags.owndata and b.images.flags.writeable for b in whole)


def test_all_rows_as_stored_and_in_colour(tmp_path):
    colour = ShardDataset(make_few(tmp_path / "c", 5, 2, (4, 5, 3), "c"))
    plan = Plan((5,), (2,), seed=0, shuffle=False)
    whole = [b.images.copy() for b in Batches([colour], plan).epoch(0)]
    assert np.array_equal(np.concatenate(whole)[:5], [picture(i, (4, 5, 3)) for i in range(5)])
    assert not np.concatenate(whole)[5:].any()


def test_a_worker_that_dies_is_named_and_nobody_hangs(data):
    before = children()
    batches = Batches(data, PLAN, rows=ROWS, workers=2)
    next(batches.epoch(0))
    victim = next(p for p in multiprocessing.active_children() if p.name.endswith(" 1 of 2"))
    victim.kill()
    begun = time.monotonic()
    with pytest.raises(RuntimeError, match=rf"worker 1 of 2 \(process {victim.pid}\).*SIGKILL"):
        # what it had made before may still be served
        _ = [batch for n in (0, 1) for batch in batches.epoch(n)]
    assert time.monotonic() - begun < 5
    assert children() == before
    with pytest.raises(ValueError, match="closed"):
        next(batches.epoch(0))


@pytest.mark.parametrize("workers", [0, 1])
def test_a_bad_shard_is_named_and_the_rest_is_served(data, tmp_path, workers):
    folder = Path(shutil.copytree(data[0].folder, tmp_path / "a"))
    shard = folder / data[0].manifest.shards[1].path
    raw = bytearray(shard.read_bytes())
    raw[-1] ^= 1
    shard.write_bytes(raw)
    plan = Plan((41,), (7,), seed=0, shuffle=False)
    with Batches([ShardDataset(folder)], plan, workers=workers) as batches:
        epoch = batches.epoch(0)
        next(epoch)
        with pytest.raises(ValueError, match=f"{shard.name}: not the bytes that were packed"):
            next(epoch)
        left = [b.ids[b.real, 1] for b in batches.epoch(0, 2)]
        assert np.array_equal(np.concatenate(left), np.arange(14, 41))


def test_nothing_is_left_of_batches_that_are_closed_or_forgotten(data):
    def shared() -> set[str]:
        maps = Path("/proc/self/maps").read_text().splitlines()
        return {m for m in maps if "/dev/shm" in m}

    def held() -> set[object]:
        gc.collect()  # what earlier tests forgot must not end between two looks
        links = [f for f in Path("/proc/self/fd").iterdir() if f.is_symlink()]
        return {*children(), *shared(), *((f.name, str(f.readlink())) for f in links)}

    big = Plan((41,), (100_000,), 0)  # 5 MB a ring: memory that is given back to the system
    Batches(data[:1], big, workers=1).close()  # what multiprocessing itself keeps is there now
    before, workers, maps = held(), children(), shared()
    with Batches(data[:1], big, workers=1) as batches:
        next(batches.epoch(0))
        assert len(children() - workers) == 1
        ring = shared() - maps
        assert ring
        assert all(m.endswith("(deleted)") for m in ring), "no name even while it is used"
    del batches
    assert held() <= before
    forgotten = Batches(data[:1], big, workers=1)
    epoch = forgotten.epoch(0)
    next(epoch)
    del forgotten, epoch
    assert held() <= before


@pytest.mark.parametrize("killed", [False, True])
def test_workers_end_with_their_parent_however_it_ends(data, tmp_path, killed):
    script = tmp_path / "left.py"
    script.write_text(textwrap.dedent(LEFT))
    words = [sys.executable, str(script), str(data[0].folder), "60" if killed else "0"]
    root = {"PYTHONPATH": str(Path(__file__).parents[2])}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(words, env=os.environ | root, **pipes) as parent:
        worker = int(parent.stdout.readline())
        if killed:
            parent.kill()
        said = parent.communicate(timeout=20)[1]
        assert (parent.returncode, said) == (-9 if killed else 0, "")
    stop = time.monotonic() + 10
    while psutil.pid_exists(worker) and time.monotonic() < stop:
        time.sleep(0.02)
    assert not psutil.pid_exists(worker)


def test_from_an_object_store(data, tmp_path):
    url, cache = data[0].folder.as_uri(), Cache(tmp_path / "cache", 1 << 20)
    stored = ShardDataset(url, cache=cache)
    plan = Plan((41,), (7,), seed=1)
    with Batches([stored], plan, workers=1) as batches:
        assert sorted(i for b in batches.epoch(0) for _, i in seen(b)) == [-1] + list(range(41))
    small = ShardDataset(url, cache=Cache(tmp_path / "small", 30_000))
    with pytest.raises(ValueError, match="OSTEORAY_CACHE_GIB"):
        Batches([small], plan)


def test_one_epoch_at_a_time(data):
    batches = Batches(data, PLAN, rows=ROWS)
    first, second = batches.epoch(0), batches.epoch(1)
    next(first)
    next(second)
    with pytest.raises(ValueError, match="another epoch was begun"):
        next(first)
    assert len(list(second)) == STEPS - 1
    assert list(batches.epoch(0, STEPS)) == []
    for epoch, start in ((-1, 0), (0, -1), (0, STEPS + 1)):
        with pytest.raises(ValueError, match="an epoch has 4 steps"):
            batches.epoch(epoch, start)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"rows": None}, "group 0 has 41 samples, and 37 in the plan"),
        ({"rows": ROWS[:1]}, "2 datasets and rows for 1, where the plan has 2 groups"),
        ({"rows": (ROWS[0] + 10, ROWS[1])}, "rows of group 0: .* has 0 to 40"),
        ({"rows": (ROWS[0], ROWS[1] - 1)}, "rows of group 1: .* has 0 to 10"),
        ({"rank": 2, "world": 2}, "rank 2 of a world of 2"),
        ({"workers": -1}, "workers -1, ahead 2"),
        ({"workers": 1, "ahead": 0}, "workers 1, ahead 0"),
    ],
)
def test_what_does_not_fit_is_refused(data, change, said):
    with pytest.raises(ValueError, match=said):
        Batches(data, PLAN, **{"rows": ROWS} | change)


def test_pictures_of_two_shapes_are_refused(data, tmp_path):
    wide = ShardDataset(make_few(tmp_path / "wide", 11, 7, (4, 8), "wide"))
    with pytest.raises(ValueError, match=r"pictures of \[\(4, 4\), \(4, 8\)\]"):
        Batches([data[0], wide], PLAN, rows=ROWS)
