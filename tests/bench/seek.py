"""Seeking in 80,000 samples: from (epoch, step) to the rows of a batch, nothing remembered.

    python -m tests.bench seek

Cold: the epoch's permutation is built anew, as after a restart. The aim is 50 ms. Then what comes
before: opening the dataset (manifest, index of 80,000 rows), and proving a shard by its sha256.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from data_sharding.order import global_batch, permutation
from data_sharding.reader import ShardDataset
from data_sharding.schema import sha256_file
from tests.bench.harness import Row, alternate, clock, ms, number
from tests.bench.shuffle import SPREAD, N, plan_of
from tests.data_sharding.many import label, make_many

EPOCH, STEP, AIM = 20, 600, 0.050


def run(folder: Path) -> list[Row]:
    os.environ["OSTEORAY_CACHE"] = str(folder / "cache")
    labels = np.array([label(i) for i in range(N)])
    plans = {
        "all shards": plan_of(labels, False, 0),
        "all shards, strata": plan_of(labels, True, 0),
        "blocks, strata": plan_of(labels, True, SPREAD),
    }

    def seek(name: str) -> np.ndarray:
        permutation.cache_clear()
        return global_batch(plans[name], EPOCH, STEP)

    times = alternate({name: clock(lambda n=name: seek(n)) for name in plans})
    rows = [
        Row(
            f"seek in {N} samples, cold: {name}",
            ms(times.median(name)),
            f"aim {ms(AIM)}",
            number(AIM / times.median(name)),
        )
        for name in plans
    ]
    many = make_many(folder / "many", N)
    opened = alternate({"open": clock(lambda: ShardDataset(many, "train"))}, 5).median("open")
    rows.append(Row(f"open a dataset of {N} samples", ms(opened), "none", "-"))
    blob = folder / "shard"
    blob.write_bytes(np.random.default_rng(0).bytes(1 << 26))
    hashed = alternate({"hash": clock(lambda: sha256_file(blob))}, 5).median("hash")
    what = "prove a shard of 64 MiB by its sha256, once a user"
    rows.append(Row(what, ms(hashed), f"{number((1 << 26) / hashed / 1e9)} GB/s", "-"))
    return rows
