"""What the teachers say of a whole packed split, shard by shard, so that a killed scoring resumes.

    logit = scored(teachers, ShardDataset("shards/public", "public"), run / "pseudo/scores", world)

The training's own ranks do it, wherever they run (this process, torchrun, Ray Train workers): of
the shards not scored yet each takes one, then all exchange, and so on. Each result is a file; its
name says which teachers, which shard and which samples it is of, and what bytes it holds, so that
no other and no torn one is taken for it. Batches end where a shard ends: the logits are the same to
the bit for any number of ranks.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from data_sharding.reader import ShardDataset
from data_sharding.schema import canonical_json, write_atomic
from data_sharding.storage.tarcheck import npy_header
from training.world import World

#: Pictures in one call of the teachers. Part of a result's name: other batches, other last bits.
BATCH = 64
#: Seconds between two words on how far it is.
TELL_EVERY_S = 30.0


class Teachers(Protocol):
    """One frozen teacher or several."""

    @property
    def hash(self) -> str:
        """SHA-256 over all that decides what they say."""
        ...

    def logit(self, images: np.ndarray) -> np.ndarray:
        """uint8 [B, H, W] as the shards hold them -> float64 [B], z(low bone mass) - z(normal)."""
        ...


def by_shard(data: ShardDataset) -> dict[int, np.ndarray]:
    """Shard -> int64 [n]: the samples that lie in it, in the order of the index."""
    order = np.argsort(data.shards, kind="stable")
    shards, starts = np.unique(data.shards[order], return_index=True)
    return dict(zip(shards.tolist(), np.split(order, starts[1:]), strict=True))


def score_shard(teachers: Teachers, data: ShardDataset, rows: np.ndarray) -> np.ndarray:
    """float64 [n]: the logits of `rows`, the samples of one shard.

    Raises:
        ValueError: pictures the teachers were not made for, or answers that are not finite.
    """
    parts = []
    for at in range(0, len(rows), BATCH):
        images = np.stack([data.image(int(i)) for i in rows[at : at + BATCH]])
        parts.append(np.asarray(teachers.logit(images), np.float64).reshape(-1))
        assert len(parts[-1]) == len(images), "one answer a picture"
    logit = np.concatenate(parts)
    if not np.isfinite(logit).all():
        bad = data.key(int(rows[~np.isfinite(logit)][0]))
        raise ValueError(f"{data.manifest.name}: the teachers' answer to {bad} is not finite")
    return logit


class Scores:
    """The results of one split and one set of teachers in `folder`, which may hold others too."""

    def __init__(self, folder: Path, teacher_sha256: str, data: ShardDataset) -> None:
        self.folder, self.data = folder, data
        self.rows = by_shard(data)
        self.shards = list(self.rows)
        keys = data.index["key"].to_numpy()
        self._names = {s: self._name(teacher_sha256, s, keys) for s in self.shards}

    def _name(self, teacher_sha256: str, shard: int, keys: np.ndarray) -> str:
        what = [
            teacher_sha256,
            self.data.manifest.shards[shard].sha256,
            keys[self.rows[shard]].tolist(),
            BATCH,
        ]
        return hashlib.sha256(canonical_json(what).encode()).hexdigest()[:24]

    def save(self, shard: int, logit: np.ndarray) -> None:
        """Write the result of a shard, whole or not at all."""
        data = npy_header(logit.shape, "<f8") + logit.astype("<f8").tobytes()
        self.folder.mkdir(parents=True, exist_ok=True)
        write_atomic(self.folder / f"{self._names[shard]}-{_digest(data)}.npy", data)

    def found(self) -> dict[int, np.ndarray]:
        """Shard -> float64 [n], of those that are there and whole; the others are passed over."""
        there: dict[str, list[Path]] = {}
        for path in sorted(self.folder.glob("*-*.npy")):
            there.setdefault(path.name.split("-")[0], []).append(path)
        whole = {}
        for shard in self.shards:
            header = npy_header((len(self.rows[shard]),), "<f8")
            for path in there.get(self._names[shard], []):
                logit = _load(path, header)
                if logit is not None:
                    whole[shard] = logit
        return whole

    def whole(self) -> np.ndarray:
        """float64 [len(data)], in the order of the index.

        Raises:
            ValueError: shards that are not scored yet.
        """
        found = self.found()
        if missing := [s for s in self.shards if s not in found]:
            names = [self.data.manifest.shards[s].path for s in missing]
            raise ValueError(
                f"{self.folder}: {len(missing)} of {len(self.shards)} shards of "
                f"{self.data.manifest.name} are not scored by these teachers, such as {names[0]}; "
                "run the training again, it goes on there"
            )
        return self.join(found)

    def join(self, found: dict[int, np.ndarray]) -> np.ndarray:
        """Shard -> logits, for all shards, as one array in the order of the index."""
        out = np.full(len(self.data), np.nan)
        for shard in self.shards:
            out[self.rows[shard]] = found[shard]
        assert np.isfinite(out).all(), "each sample once"
        return out


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:24]


def _load(path: Path, header: bytes) -> np.ndarray | None:
    """The array, or None if the file is not what its name says or not of this header."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    if path.stem.split("-", 1)[1] != _digest(data) or not data.startswith(header):
        return None
    count = (len(data) - len(header)) / 8
    logit = np.frombuffer(data, "<f8", offset=len(header)) if count == int(count) else None
    fits = logit is not None and npy_header(logit.shape, "<f8") == header
    return logit.astype(np.float64) if logit is not None and fits else None


def scored(
    teachers: Teachers,
    data: ShardDataset,
    folder: Path,
    world: World,
    tell: Callable[[str], None] = lambda _: None,
    breathe: Callable[[], None] = lambda: None,
) -> np.ndarray:
    """float64 [len(data)]: the teachers' logits, in the order of the index, on every rank.

    What lies in `folder` already is not asked again. All ranks call it; they wait for each other
    once a shard, not once at the end, where a collective's time limit would have to cover the
    longest share of the work. Files are only read by rank 0: another node may see them late.

    Args:
        teachers: on every rank the same.
        data: a packed split.
        folder: on storage that all ranks see.
        world: this rank's place.
        tell: is told how far it is, on rank 0.
        breathe: called between shards on every rank; it may raise, what is scored is kept.

    Raises:
        ValueError: on every rank, what went wrong on one.
    """
    kept = Scores(folder, teachers.hash, data)
    done: dict[int, np.ndarray] = world.on_main(kept.found)
    todo = [s for s in kept.shards if s not in done]
    most = max((len(kept.rows[s]) for s in todo), default=0)
    told = time.monotonic()
    if todo and done and world.main:
        tell(f"{len(done)} of {len(kept.shards)} shards are scored already")
    for at in range(0, len(todo), world.size):
        breathe()
        dealt = todo[at : at + world.size]
        mine = dealt[world.rank] if world.rank < len(dealt) else None
        ahead = todo[at + world.size :][world.rank : world.rank + 1]
        for shard in ahead:
            data.prefetch(kept.rows[shard])
        logit, error = np.zeros(0), None
        try:
            if mine is not None:
                logit = score_shard(teachers, data, kept.rows[mine])
                kept.save(mine, logit)
        except Exception as e:  # the others must not wait for this rank in vain
            error = e
        # padded: (failed, n, logits...)
        padded = np.zeros(2 + most)
        padded[0], padded[1] = error is not None, len(logit)
        padded[2 : 2 + len(logit)] = logit
        every = world.agree(torch.from_numpy(padded)).numpy()
        if error is not None:
            raise error
        if every[:, 0].any():
            rank = int(np.flatnonzero(every[:, 0])[0])
            raise ValueError(f"worker {rank} could not score its shard; its own message says why")
        for shard, row in zip(dealt, every, strict=False):
            done[shard] = row[2 : 2 + int(row[1])]
        if world.main and time.monotonic() - told > TELL_EVERY_S:
            told = time.monotonic()
            tell(f"{len(done)} of {len(kept.shards)} shards scored")
    return kept.join(done)
