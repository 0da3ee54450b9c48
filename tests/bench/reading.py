"""Packed 512x512 pictures into batches: our reader, the webdataset library, a folder of PNGs.

    python -m tests.bench reading

All three fill the same batches of uint8 in this process, no loader workers; webdataset reads the
very tars our reader maps and decodes only the npy. Files are in the page cache, so this is the
price of finding and decoding, not of the disk. The pack lies there six times over, so that it is
larger than the processor's caches. The peers read in stored order, the only one that webdataset
has; we are timed in random order too.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np
import webdataset
from PIL import Image
from torchvision.datasets import ImageFolder

from data_sharding.pack import pack
from data_sharding.phantom.world import make_world
from data_sharding.reader import ShardDataset
from tests.bench.harness import Row, Side, alternate, clock, number

BATCH = 16
PATIENTS, COPIES = 60, 6
PASSES = 10  # of ours in each round: one is too short to time


def ours(packs: list[ShardDataset], order: list[tuple[int, int]]) -> Iterator[np.ndarray]:
    for c, i in order:
        yield packs[c].image(i)


def plain_webdataset(tars: list[str]) -> Iterator[np.ndarray]:
    for sample in webdataset.WebDataset(tars, shardshuffle=False).decode(only="npy"):
        yield sample["npy"]


def image_folder(pictures: ImageFolder) -> Iterator[np.ndarray]:
    for i in range(len(pictures)):
        yield pictures[i][0]


def load_grey(path: str) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture)


def fill(pictures: Iterable[np.ndarray], batch: np.ndarray) -> int:
    """Copy every picture into its place of a batch, as a collate function does."""
    n = 0
    for n, picture in enumerate(pictures, start=1):
        batch[n % len(batch)] = picture
    return n


def run(folder: Path) -> list[Row]:
    quiet = {"echo": lambda _: None}
    make_world(folder / "world", internal=0, external=0, public=PATIENTS)
    pack(folder / "world" / "public", folder / "0", role="public", shard_samples=32, **quiet)
    for c in range(1, COPIES):
        shutil.copytree(folder / "0", folder / f"{c}")
    packs = [ShardDataset(folder / f"{c}") for c in range(COPIES)]
    tars = [str(p.folder / s.path) for p in packs for s in p.manifest.shards]
    stored = [(c, i) for c, p in enumerate(packs) for i in range(len(p))]
    (folder / "png" / "all").mkdir(parents=True)
    for c, i in stored:
        cv2.imwrite(str(folder / "png" / "all" / f"{c}-{i:05d}.png"), packs[c].image(i))
    pngs = ImageFolder(str(folder / "png"), loader=load_grey)

    n = len(stored)
    shuffled = [stored[k] for k in np.random.default_rng(0).permutation(n)]
    batch = np.zeros((BATCH, *packs[0].image(0).shape), np.uint8)
    sides = {
        "ours": lambda: ours(packs, stored),
        "random": lambda: ours(packs, shuffled),
        "webdataset": lambda: plain_webdataset(tars),
        "PNG folder": lambda: image_folder(pngs),
    }
    for name, side in sides.items():
        order = shuffled if name == "random" else stored
        wanted = [packs[c].index["pixels_sha256"][i] for c, i in order]
        found = [hashlib.sha256(x.tobytes()).hexdigest() for x in side()]
        assert found == wanted, f"{name} reads other pixels"

    def timed(name: str) -> Side:
        passes = PASSES if name in ("ours", "random") else 1
        return clock(lambda: [fill(sides[name](), batch) for _ in range(passes)], n * passes)

    times = alternate({name: timed(name) for name in sides})

    def speed(name: str) -> str:
        return f"{number(1 / times.median(name))}/s"

    what, mine = f"read {n} pictures of 512x512 into batches", speed("ours")
    return [
        Row(
            what,
            mine,
            f"webdataset, same tars {speed('webdataset')}",
            times.ratio("webdataset", "ours"),
        ),
        Row(
            what,
            mine,
            f"ImageFolder of PNGs {speed('PNG folder')}",
            times.ratio("PNG folder", "ours"),
        ),
        Row(f"{what}, random order", speed("random"), "none: webdataset streams", "-"),
    ]
