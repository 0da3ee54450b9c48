"""80,000 samples: seeking, memory over a pass, and over ten epochs.

Times are printed by `python -m tests.bench seek`; here the bounds are generous, because tests run
on busy machines. Memory is measured in a process of its own, as resident set size: everything, the
mapped pages of the shards too.
"""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from data_sharding.order import global_batch, permutation, steps_per_epoch
from data_sharding.reader import ShardDataset, verify
from tests.bench.shuffle import plan_of
from tests.data_sharding.many import label, make_few, make_many

N = 80_000


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_many(tmp_path_factory.mktemp("large") / "many", N)


def test_the_many_are_what_the_writer_writes(tmp_path):
    few, many = make_few(tmp_path / "few", 21, 8), make_many(tmp_path / "many", 21, 8)
    assert verify(few) == verify(many) == []
    for name in ("train-00000.tar", "train-00001.tar", "train-00002.tar"):
        assert (few / name).read_bytes() == (many / name).read_bytes()
    assert ShardDataset(few).index.equals(ShardDataset(many).index)


@pytest.mark.parametrize("strata", [False, True])
@pytest.mark.parametrize("spread", [0, 16])
def test_seeking_anywhere_is_one_permutation_and_a_slice(strata, spread):
    """50 ms is the aim; the best of three cold seeks is asked for less than three times that."""
    plan = plan_of(np.array([label(i) for i in range(N)]), strata, spread)
    rng = np.random.default_rng(0)
    cold = []
    for _ in range(3):
        permutation.cache_clear()
        epoch, step = int(rng.integers(10**6)), int(rng.integers(steps_per_epoch(plan)))
        started = time.perf_counter()
        rows = global_batch(plan, epoch, step)
        cold.append(time.perf_counter() - started)
        assert np.array_equal(rows[:, 1], permutation(plan, 0, epoch)[step * 64 : step * 64 + 64])
        assert permutation.cache_info().misses == 1
    assert min(cold) < 0.15


MEASURE = """
import gc, json, sys
import numpy as np, psutil
from data_sharding.order import rank_batch, steps_per_epoch
from data_sharding.reader import ShardDataset
from tests.bench.shuffle import plan_of

data = ShardDataset(sys.argv[1], "train")
labels = data.index["label"].to_numpy(np.int64)
plan = plan_of(labels, True, int(sys.argv[2]))
me = psutil.Process()

def rss():
    gc.collect()
    return me.memory_info().rss

seen = np.zeros(len(data), np.int64)
total, at = 0, [rss()]
epochs = int(sys.argv[3])
for epoch in range(epochs):
    peak = 0
    for step in range(steps_per_epoch(plan)):
        for g, i in rank_batch(plan, epoch, step, 0, 1).tolist():
            if g == 0:
                total += int(data.image(i)[0, 0])
                seen[i] += 1
        if step % 50 == 0:
            peak = max(peak, me.memory_info().rss)
    at.append(max(peak, rss()))
assert (seen == epochs).all()
print(json.dumps(at))
"""


@pytest.mark.parametrize(("spread", "epochs"), [(0, 10), (16, 2)])
def test_memory_over_a_pass_and_over_ten_epochs(large, spread, epochs):
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(large), str(spread), str(epochs)],
        capture_output=True,
        text=True,
        env=env,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    start, first, *further = json.loads(done.stdout)
    print([round((e - start) / 1e6) for e in (first, *further)], "MB")
    assert first - start < 100e6, "over the first pass, mapped pages included"
    assert max(further) - first < 20e6, "and no more over the further ones"


def test_what_a_loader_worker_is_sent_is_small(large):
    data = ShardDataset(large, "train")
    assert len(pickle.dumps(data)) < 100 * N, "bytes a sample: two places, a key, a shard's number"
    assert data.index.memory_usage(deep=True).sum() < 1000 * N
