"""Phantom pictures a second on one core, and files packed a second.

    python -m tests.bench phantom

There is no peer. Rendering, writing included, has an aim: 15 pictures a second. Packing reads the
header of every file and decodes and writes only the pictures that the cohort takes; it is set
against pydicom reading every file to its stored values. Neither starts worker processes.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pydicom

from data_sharding.pack import pack
from data_sharding.phantom.hospital import Job, make_patient
from data_sharding.phantom.vendors import ASAN
from data_sharding.phantom.world import make_world
from data_sharding.schema import Manifest
from tests.bench.harness import Row, alternate, clock, number

PATIENTS, RENDERED, AIM = 40, 12, 15


def render(out: Path) -> int:
    """Pictures made and written for the first patients of a world."""
    return sum(len(make_patient(Job(out, ASAN, k, 0, 512, 0.0))) for k in range(RENDERED))


def packed(site: Path, out: Path) -> None:
    shutil.rmtree(out, ignore_errors=True)
    pack(site, out, workers=1, fresh=True, echo=lambda _: None)


def read_all(files: list[Path]) -> None:
    for path in files:
        pydicom.dcmread(path).pixel_array  # noqa: B018


def run(folder: Path) -> list[Row]:
    make_world(folder / "world", internal=PATIENTS, external=0, public=0)
    site = folder / "world" / "asan"
    files = sorted(site.rglob("*.dcm"))
    n, pictures = len(files), render(folder / "again")
    times = alternate(
        {
            "render": clock(lambda: render(folder / "again"), pictures),
            "pack": clock(lambda: packed(site, folder / "shards"), n),
            "pydicom": clock(lambda: read_all(files), n),
        },
        rounds=3,
    )
    taken = sum(s.samples for s in Manifest.load(folder / "shards").shards)
    speed = 1 / times.median("render")
    return [
        Row(
            "phantom pictures at 512, one core",
            f"{number(speed)}/s",
            f"aim {AIM}/s",
            f"{number(speed / AIM)} x aim",
        ),
        Row(
            f"packing a site of {n} DICOM files of 512 ({taken} taken), one core",
            f"{number(1 / times.median('pack'))}/s",
            f"pydicom reads them all {number(1 / times.median('pydicom'))}/s",
            f"{times.ratio('pack', 'pydicom')} x pydicom",
        ),
    ]
