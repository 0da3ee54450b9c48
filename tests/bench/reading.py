"""Packed 512x512 pictures: our reader beside webdataset, litdata, mosaicml-streaming, ImageFolder.

    make bench                                              # all
    PYTHONPATH=.venv/peers python -m tests.bench reading    # only this, once that is there

The same pictures for everyone, each library's own files (peers.py), checked by hash to be equal.
Files are in the page cache, so this is the price of finding, decoding and moving, not of the disk;
there are more of them than the processor's caches hold. Three ways of reading:

one by one      as the reader hands a picture out, and one byte of each of its pages looked at:
                what training does, whose augmentation reads the mapped file itself
into batches    copied into a batch in this process; copying from memory to memory is the ceiling
2 workers       batches from loader workers, over and over, as torch tensors in this process. Ours
                come through a ring of shared memory (ring.py), theirs as their loaders send them;
                ours are also sent as theirs are, where the sending is nearly all of the cost

Seconds are those of the clock on the wall, as there are threads and processes. The ratio is that
to the best peer. ImageFolder, slow and steady, is timed on every fourth picture.
"""

from __future__ import annotations

import hashlib
import shutil
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from data_sharding.pack import pack
from data_sharding.phantom.world import make_world
from data_sharding.reader import ShardDataset
from tests.bench.harness import Row, Side, Times, alternate, number, wall
from tests.bench.peers import PEERS, Peers, write_all
from tests.bench.ring import Place, Ring

BATCH, WORKERS = 16, 2
PATIENTS, COPIES = 60, 32
LONGER = 4  # passes of ours in each round: one is too short to time
ROUNDS = 5
SLOW = "ImageFolder of PNGs"


class Plain(Dataset):
    """Our pictures for an ordinary DataLoader."""

    def __init__(self, packs: Sequence[ShardDataset], order: Sequence[Place]) -> None:
        self.packs, self.order = packs, order

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, n: int) -> np.ndarray:
        c, i = self.order[n]
        return self.packs[c].image(i)


def run(folder: Path) -> list[Row]:
    warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
    # Faster than handing over file descriptors, for every loader alike.
    torch.multiprocessing.set_sharing_strategy("file_system")
    packs = [ShardDataset(x) for x in make_packs(folder)]
    stored = [(c, i) for c, p in enumerate(packs) for i in range(len(p))]
    shuffled = [stored[k] for k in np.random.default_rng(0).permutation(len(stored))]
    plain, mixed = Plain(packs, stored), Plain(packs, shuffled)
    write_all(lambda: (plain[n] for n in range(len(plain))), folder)
    peers = Peers(folder)
    wanted = [packs[c].index["pixels_sha256"][i] for c, i in stored]
    n = len(stored)

    single: dict[str, Callable[[], Iterable[np.ndarray]]] = {
        "ours": lambda: map(plain.__getitem__, range(n)),
        **{name: lambda name=name: peers.one_by_one(name) for name in PEERS},
    }
    for name, pictures in single.items():
        found = [hashlib.sha256(x.tobytes()).hexdigest() for x in pictures()]
        assert found == wanted, f"{name} reads other pixels"
    peers.pngs.samples = peers.pngs.samples[::4]
    few = {SLOW: len(peers.pngs)}
    looked = {name: timed(name, lambda f=f: look(f()), n, few) for name, f in single.items()}
    batch = np.zeros((BATCH, *plain[0].shape), np.uint8)
    memory = np.stack([plain[k] for k in range(n)])
    single |= {
        "ours, random order": lambda: map(mixed.__getitem__, range(n)),
        "memory to memory": lambda: memory,
    }
    filled = {name: timed(name, lambda f=f: fill(f(), batch), n, few) for name, f in single.items()}

    loaders: dict[str, Iterable[torch.Tensor]] = {
        "ours": Ring(packs, stored, BATCH, WORKERS),
        "ours, sent as theirs": DataLoader(
            plain,
            BATCH,
            num_workers=WORKERS,
            persistent_workers=True,
            multiprocessing_context="fork",
        ),
        **{name: peers.batches(name, BATCH, WORKERS) for name in PEERS},
    }
    for name, loader in loaders.items():
        found = [hashlib.sha256(x.numpy().tobytes()).hexdigest() for batch in loader for x in batch]
        due = wanted[::4] if name == SLOW else wanted
        assert Counter(found) == Counter(due), f"{name} sends other pixels"
    sent = {
        name: timed(name, lambda x=x: sum(len(b) for b in x), n, few) for name, x in loaders.items()
    }

    one, copied, moved = (alternate(x, ROUNDS) for x in (looked, filled, sent))
    what = f"read {n} pictures of 512x512"
    return [
        row(f"{what}, one by one", "ours", one),
        row(f"{what} into batches, 0 workers", "ours", copied),
        row(f"{what} into batches, 0 workers, random order", "ours, random order", copied),
        Row(
            "the ceiling of the two: copied from memory to memory",
            speed(copied, "ours"),
            speed(copied, "memory to memory"),
            copied.ratio("memory to memory", "ours"),
        ),
        row(f"{what} in batches, {WORKERS} workers, through a ring", "ours", moved),
        row(f"{what} in batches, {WORKERS} workers, sent as theirs", "ours, sent as theirs", moved),
    ]


def make_packs(folder: Path) -> list[Path]:
    """A packed phantom of public X-rays, so many times over that no cache holds it."""
    quiet = {"echo": lambda _: None}
    make_world(folder / "world", internal=0, external=0, public=PATIENTS)
    out = [folder / f"{c}" for c in range(COPIES)]
    pack(folder / "world" / "public", out[0], role="public", shard_samples=32, **quiet)
    for copy in out[1:]:
        shutil.copytree(out[0], copy)
    return out


def look(pictures: Iterable[np.ndarray]) -> int:
    """Read one byte of each page of every picture."""
    total = 0
    for picture in pictures:
        total += int(picture.reshape(-1)[::4096].sum())
    return total


def fill(pictures: Iterable[np.ndarray], batch: np.ndarray) -> None:
    """Copy every picture into its place of a batch, as a collate function does."""
    for n, picture in enumerate(pictures):
        batch[n % len(batch)] = picture


def timed(name: str, work: Callable[[], object], n: int, few: dict[str, int]) -> Side:
    """A side that gives the seconds of the clock on the wall for one picture."""
    passes = LONGER if name.startswith(("ours", "memory")) else 1
    return wall(lambda: [work() for _ in range(passes)], few.get(name, n) * passes)


def speed(times: Times, name: str) -> str:
    return f"{number(1 / times.median(name))}/s"


def row(what: str, ours: str, times: Times) -> Row:
    """Ours beside all peers; the ratio is to the fastest of them."""
    ordered = sorted(PEERS, key=times.median)
    said = ", ".join(f"{name} {speed(times, name)}" for name in ordered)
    return Row(what, speed(times, ours), said, times.ratio(ordered[0], ours))
