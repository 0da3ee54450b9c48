"""Packed 512x512 pictures: our reader beside webdataset, litdata, mosaicml-streaming, ImageFolder.

    make bench                                              # all
    PYTHONPATH=.venv/peers python -m tests.bench reading    # only this, once that is there

The same pictures for everyone, each library's own files (peers.py), checked by hash to be equal.
Files are in the page cache, so this is the price of finding, decoding and moving, not of the disk;
there are more of them than the processor's caches hold. All were dropped from it and read once, as
a file that was just written lies there in pieces as small as those it was written in, and is up to
a third slower to read from. Ways of reading:

one by one  as the reader hands a picture out, and one byte of each of its pages looked at: what
            training does, whose augmentation reads the mapped file itself
in batches  torch tensors in this process, made by it or by 2 workers, over and over: ours by
            `data_sharding.batches`, theirs by their loaders. Ours are also sent as theirs are,
            where the sending is nearly all of the cost
by hand     theirs one by one, copied into one batch that is used again and again, where their
            loaders make each anew. The same from memory to memory is the ceiling for everybody

Seconds are those of the clock on the wall, as there are threads and processes. The ratio is that
to the best peer. ImageFolder, slow and steady, is timed on every fourth picture.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from data_sharding.batches import Batches
from data_sharding.order import Plan
from data_sharding.pack import pack
from data_sharding.packing.shards import ShardWriter, write_index
from data_sharding.phantom.world import make_world
from data_sharding.reader import ShardDataset
from data_sharding.schema import FlowStep
from tests.bench.harness import Row, Side, Times, alternate, number, wall
from tests.bench.peers import PEERS, SHARD_BYTES, Peers, write_all

BATCH, WORKERS = 16, 2
PATIENTS, COPIES = 60, 32
LONGER = 4  # passes of ours in each round: one is too short to time
ROUNDS = 5
SLOW = "ImageFolder of PNGs"
HAND = ", by hand"


class Plain(Dataset):
    """Our pictures for an ordinary DataLoader."""

    def __init__(self, data: ShardDataset) -> None:
        self.data = data

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, n: int) -> np.ndarray:
        return self.data.image(n)


class Ours:
    """Our batches as torch tensors, to be passed over many times."""

    def __init__(self, data: ShardDataset, workers: int, shuffle: bool = False) -> None:
        plan = Plan((len(data),), (BATCH,), seed=0, shuffle=shuffle)
        self.batches = Batches([data], plan, workers=workers)

    def __iter__(self) -> Iterator[torch.Tensor]:
        for batch in self.batches.epoch(0):
            yield torch.from_numpy(batch.images if batch.real.all() else batch.images[batch.real])


def run(folder: Path) -> list[Row]:
    warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
    # Faster than handing over file descriptors, for every loader alike.
    torch.multiprocessing.set_sharing_strategy("file_system")
    packed = make_pack(folder)
    n = len(ShardDataset(packed))
    write_all(lambda: map(ShardDataset(packed).image, range(n)), folder)
    read_once(folder)
    data, peers = ShardDataset(packed), Peers(folder)
    wanted = data.index["pixels_sha256"].tolist()

    single: dict[str, Callable[[], Iterable[np.ndarray]]] = {
        "ours": lambda: map(data.image, range(n)),
        **{name: lambda name=name: peers.one_by_one(name) for name in PEERS},
    }
    for name, pictures in single.items():
        found = [hashlib.sha256(x.tobytes()).hexdigest() for x in pictures()]
        assert found == wanted, f"{name} reads other pixels"
    peers.pngs.samples = peers.pngs.samples[::4]
    few = {SLOW: len(peers.pngs)}
    looked = {name: timed(name, lambda f=f: look(f()), n, few) for name, f in single.items()}

    loaders: dict[int, dict[str, Iterable[torch.Tensor]]] = {
        0: {"ours": Ours(data, 0), "ours, random order": Ours(data, 0, shuffle=True)},
        WORKERS: {
            "ours": Ours(data, WORKERS),
            "ours, sent as theirs": DataLoader(
                Plain(data),
                BATCH,
                num_workers=WORKERS,
                persistent_workers=True,
                multiprocessing_context="fork",
            ),
        },
    }
    sides: dict[int, dict[str, Side]] = {}
    for workers, ours in loaders.items():
        both = ours | {name: peers.batches(name, BATCH, workers) for name in PEERS}
        for name, batches in both.items():
            check(name, batches, wanted[::4] if name == SLOW else wanted)
        sides[workers] = {name: timed(name, partial(take, x), n, few) for name, x in both.items()}
    batch = np.zeros((BATCH, *data.image(0).shape), np.uint8)
    memory = np.stack([data.image(k) for k in range(n)])
    by_hand = {name: single[name] for name in PEERS} | {"memory": lambda: memory}
    for name, f in by_hand.items():
        sides[0][f"{name}{HAND}"] = timed(name, lambda f=f: fill(f(), batch), n, few)

    one, here, sent = (alternate(x, ROUNDS) for x in (looked, sides[0], sides[WORKERS]))
    what = f"read {n} pictures of 512x512"
    return [
        row(f"{what}, one by one", "ours", one),
        row(f"{what} in batches, 0 workers", "ours", here),
        row(f"{what} in batches, 0 workers, random order", "ours, random order", here),
        row(f"{what} in batches, 0 workers, theirs by hand", "ours", here, HAND),
        Row(
            "the ceiling of these three: copied from memory to memory",
            speed(here, "ours"),
            speed(here, f"memory{HAND}"),
            here.ratio(f"memory{HAND}", "ours"),
        ),
        row(f"{what} in batches, {WORKERS} workers", "ours", sent),
        row(f"{what} in batches, {WORKERS} workers, sent as theirs", "ours, sent as theirs", sent),
    ]


def make_pack(folder: Path) -> Path:
    """Packed phantoms of public X-rays, so many times over that no cache holds them."""
    quiet = {"echo": lambda _: None}
    make_world(folder / "world", internal=0, external=0, public=PATIENTS)
    pack(folder / "world" / "public", folder / "once", role="public", **quiet)
    once, out = ShardDataset(folder / "once"), folder / "ours"
    out.mkdir()
    with ShardWriter(out, SHARD_BYTES // once.image(0).size) as writer:
        for copy in range(COPIES):
            for i in range(len(once)):
                facts = once.sample(i)
                key = f"{facts.key[2:]}{copy:02d}"
                writer.add(facts.model_copy(update={"key": key}), once.image(i))
    shutil.copy(once.folder / once.manifest.ledger, out)
    n = len(once) * COPIES
    step = FlowStep(step="copied", unit="image", n_in=n, excluded={}, n_out=n)
    index = write_index(out, writer.rows)
    changed = {"shards": tuple(writer.shards), "index_sha256": index, "flow": (step,)}
    once.manifest.model_copy(update=changed).save(out)
    return out


def read_once(folder: Path) -> None:
    """Drop all files below `folder` from the page cache, and read each from end to end."""
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            while file.read(1 << 20):
                pass


def check(name: str, batches: Iterable[torch.Tensor], due: list[str]) -> None:
    """That these are the pictures, each as often as it is due."""
    found = [hashlib.sha256(x.numpy().tobytes()).hexdigest() for batch in batches for x in batch]
    assert Counter(found) == Counter(due), f"{name} makes batches of other pixels"


def take(batches: Iterable[torch.Tensor]) -> int:
    return sum(len(batch) for batch in batches)


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


def row(what: str, ours: str, times: Times, how: str = "") -> Row:
    """Ours beside all peers; the ratio is to the fastest of them."""
    ordered = sorted((f"{name}{how}" for name in PEERS), key=times.median)
    said = ", ".join(f"{name.removesuffix(how)} {speed(times, name)}" for name in ordered)
    return Row(what, speed(times, ours), said, times.ratio(ordered[0], ours))
