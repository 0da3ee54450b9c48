"""What a frozen network says of each picture's weak views, computed once and kept.

    said = answers(teachers, data, rows, runs / "logits", world)   # float32 [N, 2, K]

Teachers are frozen, and say K logits; so is FaceNet, and says the K numbers of its embedding. The
weak augmentation is a flip, so a picture has two weak views and a network need answer twice, not
once an epoch. Answers are kept in pieces of `PIECE` samples. A piece's file is named by the SHA-256
of the network, the dataset's manifest and its samples, so that it serves every run with the same
three; it holds a hash of its own, and a torn one is said aloud and made again. A killed run goes on
after the last whole piece. They are the same to the bit for any number of ranks.

Always float32: what a whole training leans on is not rounded to the 8 bits of bf16.
"""

from __future__ import annotations

import hashlib
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from data_sharding.reader import ShardDataset
from data_sharding.schema import Manifest, canonical_json, write_atomic
from training.stream import Group
from training.tracking import say
from training.watchdog import feed
from training.world import World

#: Samples of a file, and of one call of the teachers (twice as many pictures). They are part of a
#: file's name: other batches, other last bits.
PIECE, BATCH = 256, 32
#: Of each sample: as it is, mirrored.
VIEWS = 2
SAY_EVERY_S = 15.0


class Frozen(Protocol):
    """Who answers: a network, or several that answer together."""

    hash: str  # SHA-256 over all that decides the answers
    width: int  # numbers of an answer
    noun: str  # of the answers, in what is said

    def accept(self, manifest: Manifest) -> None:
        """ValueError if the dataset's pictures are not those that it knows."""
        ...

    def pictures(self, data: ShardDataset, rows: np.ndarray) -> np.ndarray:
        """[n, H, W(, 3)]: what it looks at of these samples."""
        ...

    def logits(self, images: np.ndarray) -> torch.Tensor:
        """Such pictures -> float32 [n, width], never in half precision."""
        ...


def for_groups(
    frozen: Frozen,
    groups: list[Group],
    folder: Path,
    world: World,
    breathe: Callable[[], None] = lambda: None,
) -> list[np.ndarray]:
    """For each group float32 [len(group.data), 2, K], as `Stream` takes them; see `answers`."""
    known: dict[int, np.ndarray] = {}
    for group in groups:
        if id(group.data) not in known:
            rows = np.unique(np.concatenate([g.rows for g in groups if g.data is group.data]))
            known[id(group.data)] = answers(
                *(frozen, group.data, rows, folder, world), breathe=breathe
            )
    return [known[id(group.data)] for group in groups]


def answers(
    frozen: Frozen,
    data: ShardDataset,
    rows: np.ndarray,
    folder: Path,
    world: World,
    tell: Callable[[str], None] = say,
    breathe: Callable[[], None] = lambda: None,
) -> np.ndarray:
    """float32 [len(data), 2, K] on every rank: answers to both weak views of `rows`, else NaN.

    All ranks call it. Each round every rank makes one piece, all exchange, and rank 0 writes: only
    it reads files, which another node may see late. Then `breathe` is called on every rank; it may
    raise, what is written is kept.

    Raises:
        ValueError: pictures the network does not know or cannot answer to; on every rank, what went
            wrong on one.
    """
    frozen.accept(data.manifest)
    folder.mkdir(parents=True, exist_ok=True)
    pieces = [rows[at : at + PIECE] for at in range(0, len(rows), PIECE)]
    paths = [folder / f"{_name(frozen, data, piece)}.safetensors" for piece in pieces]
    done = world.on_main(lambda: _found(paths, pieces, frozen.width))
    todo = [i for i in range(len(pieces)) if i not in done]
    told = time.monotonic()
    for at in range(0, len(todo), world.size):
        dealt = todo[at : at + world.size]
        said, error = np.zeros((PIECE, VIEWS, frozen.width), np.float32), None
        for later in todo[at + world.size :][world.rank : world.rank + 1]:
            data.prefetch(pieces[later])
        try:
            if world.rank < len(dealt):
                mine = pieces[dealt[world.rank]]
                said[: len(mine)] = _ask(frozen, data, mine)
        except Exception as e:  # the others must not wait for this rank in vain
            error = e
        failed = world.agree(torch.tensor([int(error is not None)])).flatten()
        if error is not None:
            raise error
        if failed.any():
            raise ValueError(f"{frozen.noun} failed on worker {int(failed.argmax())}; see it")
        every = world.agree(torch.from_numpy(said)).numpy()
        for i, answer in zip(dealt, every, strict=False):
            done[i] = answer[: len(pieces[i])]
            if world.main:
                write_atomic(paths[i], _pack(paths[i].stem, done[i]))
        if world.main and (time.monotonic() - told > SAY_EVERY_S or at + world.size >= len(todo)):
            told = time.monotonic()
            n = sum(len(pieces[i]) for i in done)
            tell(f"{frozen.noun} of {data.manifest.name}: {n} of {len(rows)} pictures")
        breathe()
    out = np.full((len(data), VIEWS, frozen.width), np.nan, np.float32)
    for i, piece in enumerate(pieces):
        out[piece] = done[i]
    return out


def _ask(frozen: Frozen, data: ShardDataset, rows: np.ndarray) -> np.ndarray:
    """float32 [len(rows), 2, K]."""
    parts = []
    for at in range(0, len(rows), BATCH):
        images = frozen.pictures(data, rows[at : at + BATCH])
        feed()  # no step is made meanwhile, but there is progress
        both = frozen.logits(np.concatenate([images, images[:, :, ::-1]])).cpu().numpy()
        # both: (view, sample, number)
        parts.append(both.reshape(VIEWS, len(images), -1).transpose(1, 0, 2))
    said = np.concatenate(parts)
    if not np.isfinite(said).all():
        bad = data.key(int(rows[~np.isfinite(said).all((1, 2))][0]))
        raise ValueError(f"{data.manifest.name}: {frozen.noun}: the answer to {bad} is not finite")
    return said


def _name(frozen: Frozen, data: ShardDataset, rows: np.ndarray) -> str:
    keys = [data.key(int(i)) for i in rows]
    what = [frozen.hash, data.manifest.hash, keys, PIECE, BATCH]
    return hashlib.sha256(canonical_json(what).encode()).hexdigest()


def _digest(name: str, said: np.ndarray) -> np.ndarray:
    """uint8 [32], of the answers and of the name they were given."""
    digest = hashlib.sha256(name.encode() + said.astype("<f4").tobytes()).digest()
    return np.frombuffer(digest, np.uint8).copy()


def _pack(name: str, said: np.ndarray) -> bytes:
    tensors = {"logits": said, "sha256": _digest(name, said)}
    return save({k: torch.from_numpy(np.ascontiguousarray(v)) for k, v in tensors.items()})


def _found(paths: list[Path], pieces: list[np.ndarray], width: int) -> dict[int, np.ndarray]:
    """Piece number -> answers, of the files that are there and whole."""
    done = {}
    for i, (path, rows) in enumerate(zip(paths, pieces, strict=True)):
        try:
            done[i] = _read(path, len(rows), width)
        except FileNotFoundError:
            continue
        except (OSError, ValueError, KeyError, SafetensorError) as e:
            warnings.warn(f"{path}: torn, computed again ({e})", stacklevel=2)
    return done


def _read(path: Path, n: int, width: int) -> np.ndarray:
    """float32 [n, 2, K]; what is raised says why it is not."""
    most = n * VIEWS * width * 4 + 4096
    if path.stat().st_size > most:
        raise ValueError(f"larger than {most} bytes")
    tensors = load(path.read_bytes())
    said = tensors["logits"]
    if said.dtype != torch.float32 or said.shape != (n, VIEWS, width):
        raise ValueError(f"{said.dtype} {list(said.shape)}")
    if not torch.equal(tensors["sha256"], torch.from_numpy(_digest(path.stem, said.numpy()))):
        raise ValueError("not the bytes that were written")
    if not said.isfinite().all():
        raise ValueError("answers that are not finite")
    return said.numpy()
