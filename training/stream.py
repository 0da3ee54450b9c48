"""From packed datasets to the batches of one rank, in the order `data_sharding.order` decides."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from data_sharding import order
from data_sharding.reader import ShardDataset
from training.augmentation import augment
from training.batch import Batch
from training.preprocess import Preprocessor
from training.world import World


@dataclass(frozen=True)
class Group:
    """Samples with labels: rows of a packed dataset (a subset, in a fixed order)."""

    data: ShardDataset
    rows: np.ndarray  # int64 [N], rows of data.index
    labels: np.ndarray  # int64 [N], 0 or 1


#: Whose part of which global batch: epoch, step, rank, world size.
At = tuple[int, int, int, int]
#: Steps that downloads run ahead of what is served, where shards are in an object store.
AHEAD = 32


class _Steps(Sampler):
    """What to make next; changed from epoch to epoch, so that workers live on."""

    def __init__(self) -> None:
        self.at: list[At] = []

    def __iter__(self) -> Iterator[At]:
        return iter(self.at)

    def __len__(self) -> int:
        return len(self.at)


class _Batches(Dataset):
    """At -> Batch: random access, so that any loader worker may make any batch."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream

    def __getitem__(self, at: At) -> Batch:
        return self.stream.batch(*at)


class Stream:
    """Training batches of one rank; resumable at any (epoch, step), in a world of any size.

    With `stratify` each batch's rows of group 0 hold its classes in their proportion, to the whole
    sample. With `spread` that many shards are shuffled together, instead of all (see `order`).
    """

    def __init__(
        self,
        groups: list[Group],
        slots: tuple[int, ...],
        preprocessor: Preprocessor,
        kind: str,
        seed: int,
        world: World,
        teacher_view: Preprocessor | None = None,
        loader_workers: int = 0,
        stratify: bool = False,
        spread: int = 0,
    ) -> None:
        self.groups, self.preprocessor, self.kind = groups, preprocessor, kind
        self.seed, self.world, self.teacher_view = seed, world, teacher_view
        self.loader_workers = loader_workers
        self._steps, self._loader = _Steps(), None
        identity = "+".join(g.data.manifest.hash for g in groups)
        self.plan = order.Plan(
            sizes=tuple(len(g.rows) for g in groups),
            slots=slots,
            seed=seed,
            identity=identity,
            spread=spread,
            shards=tuple(_shard_sizes(g) for g in groups) if spread else (),
            strata=groups[0].labels.astype(np.uint8).tobytes() if stratify else b"",
        )
        self._remote = any(g.data.remote for g in groups)
        for group in groups:  # a batch may lie across two blocks
            group.data.check_cache(2 * spread)
        self.steps_per_epoch = order.steps_per_epoch(self.plan)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from step `start` on."""
        if self._loader is None:
            self._loader = DataLoader(
                _Batches(self),
                batch_size=None,
                sampler=self._steps,
                num_workers=self.loader_workers,
                multiprocessing_context="spawn" if self.loader_workers else None,
                persistent_workers=self.loader_workers > 0,
                pin_memory=self.world.device.type == "cuda",
            )
        rank, size = self.world.rank, self.world.size
        self._steps.at = [(epoch, step, rank, size) for step in range(start, self.steps_per_epoch)]
        yield from self._loader

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_loader": None}  # for loader workers, which have none

    def batch(self, epoch: int, step: int, rank: int, size: int) -> Batch:
        """One rank's part of global batch `step` of `epoch`, in a world of `size`."""
        cv2.setNumThreads(1)
        whole = order.global_batch(self.plan, epoch, step)
        rows = order.deal(whole, rank, size)
        if self._remote:
            self._prefetch(rows, epoch, step + AHEAD, rank, size)
        images: list[np.ndarray] = []
        weak: list[np.ndarray] = []
        label = np.zeros(len(rows), np.int64)
        known = whole[whole[:, 0] >= 0]
        for n, (g, i) in enumerate(np.where(rows < 0, known[0], rows)):
            # Padding shows a real picture again, for batch norms, and counts for nothing.
            group = self.groups[g]
            row = int(group.rows[i])
            image = self.preprocessor.resize(group.data.image(row))
            key = f"{group.data.manifest.name}/{group.data.key(row)}"
            # Groups after the first come round several times in an epoch: a new draw each time.
            place = (epoch * self.steps_per_epoch + step) * len(whole) + n * size + rank
            draw = epoch if g == 0 else place
            images.append(augment(image, self.kind, self.seed, draw, key))
            if self.teacher_view:  # the same flip: both begin with that draw
                view = "none" if self.kind == "none" else "weak"
                weak.append(augment(image, view, self.seed, draw, key))
            label[n] = group.labels[i]
        seen = self.teacher_view
        return Batch(
            image=self.preprocessor.normalise(np.stack(images)),
            weak=seen.normalise(np.stack(weak)) if seen else None,
            label=torch.from_numpy(label),
            real=torch.from_numpy((rows[:, 0] >= 0).astype(np.float32)),
            global_real=len(known),
            epoch=epoch,
            step=step,
        )

    def _prefetch(self, now: np.ndarray, epoch: int, later: int, rank: int, size: int) -> None:
        """Begin to download what `now` needs and what the step `later` will need."""
        epoch, later = epoch + later // self.steps_per_epoch, later % self.steps_per_epoch
        for rows in (now, order.rank_batch(self.plan, epoch, later, rank, size)):
            for g, group in enumerate(self.groups):
                group.data.prefetch(group.rows[rows[rows[:, 0] == g, 1]])


def _shard_sizes(group: Group) -> tuple[int, ...]:
    """How many neighbouring samples of the group lie in one shard, shard after shard."""
    shard = group.data.shards[group.rows]
    edges = np.flatnonzero(np.diff(shard)) + 1
    return tuple(len(run) for run in np.split(shard, edges) if len(run))
