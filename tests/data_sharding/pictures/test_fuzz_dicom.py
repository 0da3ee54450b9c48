"""Damaged DICOM files: refused with a reason or read, never a crash, a hang or a memory bomb.

More, from number 5000 on; what goes wrong is kept in out/:
python -m tests.data_sharding.pictures.test_fuzz_dicom 50000 out
"""

from __future__ import annotations

import csv
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from data_sharding.ledger import Refused
from data_sharding.pack import pack
from data_sharding.pictures.work import Job, Made, Scan, make, scan
from data_sharding.schema import REASONS
from tests.data_sharding.mutate import mutated, radiographs
from tests.data_sharding.watched import watch

COUNT, SIZE = 5000, 32
REAL = Path(__file__).parents[3] / "../shared/data/dicom"


def all_seeds(folder: Path) -> list[bytes]:
    """The hand-made files, and where they are the real ones: small, and a few larger."""
    seeds = list(radiographs(folder).values()) * 4
    if REAL.is_dir():
        real = sorted(REAL.iterdir())
        seeds += [p.read_bytes() for p in real if p.stat().st_size < 20_000]
        seeds += [p.read_bytes() for p in real if 20_000 <= p.stat().st_size < 200_000][::6]
    return seeds


class Fuzz:
    """Scan and make mutation `first` + number, in a file of this process."""

    def __init__(self, given: tuple[str, int]) -> None:
        folder, self.first = given
        self.folder = Path(tempfile.mkdtemp(dir=folder))
        self.seeds = all_seeds(self.folder)

    def bytes_of(self, number: int) -> bytes:
        return mutated(self.seeds, self.first + number)

    def __call__(self, number: int) -> None:
        path = self.folder / "file"
        path.write_bytes(self.bytes_of(number))
        facts = scan(Scan("dicom", str(path), "PA"))
        made = make(Job("dicom", str(path), SIZE, "PA"))
        if isinstance(facts, Refused):
            assert isinstance(made, Refused), "refused by its header, and then read"
        for refused in (facts, made):
            if isinstance(refused, Refused):
                assert refused.reason in REASONS
                assert refused.evidence.isprintable()
                assert len(refused.evidence) < 300, refused.evidence
        if not isinstance(made, Refused):
            assert (made.pixels.shape, made.pixels.dtype) == ((SIZE, SIZE), np.uint8)
            assert made.pixels.max() > made.pixels.min(), "a blank picture is passed on"


def test_the_seeds_are_read(tmp_path):
    for name, data in radiographs(tmp_path).items():
        (tmp_path / "a").write_bytes(data)
        assert isinstance(make(Job("dicom", str(tmp_path / "a"), SIZE)), Made), name


def test_mutations_are_the_same_always(tmp_path):
    seeds = list(radiographs(tmp_path).values())
    assert [mutated(seeds, n) for n in range(50)] == [mutated(seeds, n) for n in range(50)]
    assert len({mutated(seeds, n) for n in range(500)}) > 450


@pytest.mark.timeout(600)
def test_damaged_files(tmp_path):
    found = watch(Fuzz, (str(tmp_path), 0), COUNT)
    assert not found.problems
    assert len(found.seconds) == COUNT


def test_a_site_of_damaged_files_loses_none(tmp_path):
    dxa, files = ["patient_id,exam_date,lumbar_spine_t"], 0
    for hospital in range(15):
        seeds = list(radiographs(tmp_path, hospital).values())
        for n, data in enumerate(seeds):
            damaged = mutated([data], 1000 * hospital + n) if n % 3 else data
            path = tmp_path / "site" / "dicom" / f"{hospital}" / f"{n}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(damaged)
            dxa.append(f"P{hospital}-{n},2020-02-01,{(n - 12) / 5}")
        files += len(seeds)
    (tmp_path / "site" / "dxa.csv").write_text("\n".join(dxa) + "\n")
    out = tmp_path / "out"
    # the screen asks for chests, and pictures are the same for many patients here
    quiet = {"screen": False, "allow_leaks": True, "echo": lambda _: None}
    manifest = pack(tmp_path / "site", out, size=SIZE, workers=2, **quiet)
    samples = sum(shard.samples for shard in manifest.shards)
    assert samples > files // 3  # those that were left as they are
    with (tmp_path / "out.private" / "items.csv").open(newline="") as f:
        named = [row["is"] for row in csv.DictReader(f) if row["unit"] in ("file", "image")]
    assert len(set(named)) == len(named), "named twice"
    assert all((tmp_path / "site" / name).is_file() for name in named)
    assert files == samples + len(named)
    with (out / "ledger.csv").open(newline="") as f:
        rows = Counter(row["unit"] for row in csv.DictReader(f))
    for unit in ("file", "image", "patient", "row"):
        steps = [step for step in manifest.flow if step.unit == unit]
        assert rows[unit] == sum(sum(step.excluded.values()) for step in steps)
        assert all(step.n_in == step.n_out + sum(step.excluded.values()) for step in steps)


if __name__ == "__main__":
    count, kept = int(sys.argv[1]), Path(sys.argv[2])
    kept.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        found = watch(Fuzz, (scratch, COUNT), count)
        fuzz = Fuzz((scratch, COUNT))
        for number, said in sorted(found.problems.items()):
            (kept / f"{COUNT + number}.dcm").write_bytes(fuzz.bytes_of(number))
            print(f"{COUNT + number}: {said}")
    number, seconds = found.slowest
    print(
        f"{count} files, {len(found.problems)} problems, slowest {1000 * seconds:.0f} ms "
        f"(number {COUNT + number}), {found.peak >> 20} MiB resident at most"
    )
