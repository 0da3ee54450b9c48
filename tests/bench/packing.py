"""Packing phantom DICOM studies with one process and with two, by the clock on the wall.

    python -m tests.bench packing

One study a patient, 12 bits, uncompressed, as the phantom's hospital exports them. Each pack writes
a fresh folder; starting the processes, pairing, hashing and sealing are in the time, as they are in
the user's. Both packs must give the same bytes. The aim for 1,000 studies is a ratio of 1.7.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from data_sharding.pack import pack
from data_sharding.phantom.world import make_world
from data_sharding.schema import Manifest
from tests.bench.harness import Row, Side, alternate, number, wall

STUDIES, ROUNDS = 1000, 3


def run(folder: Path) -> list[Row]:
    make_world(folder / "world", internal=STUDIES, external=0, public=0)
    site, key = folder / "world" / "asan", folder / "world" / "pseudonym.key"
    packed: dict[str, Manifest] = {}

    def side(workers: int) -> Side:
        out = folder / f"{workers}"

        def work() -> None:
            quiet = {"key_file": key, "echo": lambda _: None}
            packed[f"{workers}"] = pack(site, out, name="asan", workers=workers, **quiet)

        def fresh() -> float:
            for old in (out, out.with_name(out.name + ".private")):
                shutil.rmtree(old, ignore_errors=True)
            return wall(work)()

        return fresh

    times = alternate({"one": side(1), "two": side(2)}, ROUNDS)
    assert packed["1"] == packed["2"], "the number of workers changes the bytes"
    samples = sum(shard.samples for shard in packed["2"].shards)
    seconds = {name: f"{number(times.median(name))} s" for name in ("one", "two")}
    return [
        Row(
            f"pack {STUDIES:,} studies ({samples} samples)",
            f"2 processes {seconds['two']}",
            f"1 process {seconds['one']}",
            times.ratio("one", "two"),
        )
    ]
