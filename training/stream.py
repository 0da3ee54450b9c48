"""From packed datasets to the batches of one rank, in the order `data_sharding.order` decides."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from data_sharding import order
from data_sharding.reader import ShardDataset
from training.augment import augment
from training.preprocess import Preprocessor
from training.world import World


@dataclass(frozen=True)
class Group:
    """Samples with labels: rows of a packed dataset (a subset, in a fixed order)."""

    data: ShardDataset
    rows: np.ndarray  # int64 [N], rows of data.index
    labels: np.ndarray  # int64 [N], 0 or 1


@dataclass
class Batch:
    """One rank's share of a global batch. b is the same on every rank; padding has real = 0."""

    image: torch.Tensor  # float32 [b, 1, h, w], augmented, normalised
    weak: torch.Tensor | None  # float32 [b, 1, h, w], the teacher's view, when there is a teacher
    label: torch.Tensor  # int64 [b]
    real: torch.Tensor  # float32 [b], 1 or 0
    global_real: int  # real samples in the global batch, all ranks together

    def to(self, device: torch.device) -> Batch:
        """On another device."""
        return self._each(lambda x: x.to(device, non_blocking=True))

    def pin_memory(self) -> Batch:
        """In page-locked memory, from which copies to a GPU do not block (DataLoader calls it)."""
        return self._each(torch.Tensor.pin_memory)

    def _each(self, change: Callable[[torch.Tensor], torch.Tensor]) -> Batch:
        weak = None if self.weak is None else change(self.weak)
        return Batch(
            change(self.image), weak, change(self.label), change(self.real), self.global_real
        )


class _Steps(Sampler):
    """The (epoch, step) to make next; changed from epoch to epoch, so that workers live on."""

    def __init__(self) -> None:
        self.at: list[tuple[int, int]] = []

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(self.at)

    def __len__(self) -> int:
        return len(self.at)


class _Batches(Dataset):
    """(epoch, step) -> Batch: random access, so that any loader worker may make any batch."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream

    def __getitem__(self, at: tuple[int, int]) -> Batch:
        return self.stream.batch(*at)


class Stream:
    """Training batches of one rank; resumable at any (epoch, step)."""

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
    ) -> None:
        self.groups, self.preprocessor, self.kind = groups, preprocessor, kind
        self.seed, self.world, self.teacher_view = seed, world, teacher_view
        self.loader_workers = loader_workers
        self._steps, self._loader = _Steps(), None
        identity = "+".join(g.data.manifest.hash for g in groups)
        self.plan = order.Plan(
            sizes=tuple(len(g.rows) for g in groups), slots=slots, seed=seed, identity=identity
        )
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
        self._steps.at = [(epoch, step) for step in range(start, self.steps_per_epoch)]
        yield from self._loader

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_loader": None}  # for loader workers, which have none

    def batch(self, epoch: int, step: int) -> Batch:
        """This rank's part of global batch `step` of `epoch`."""
        cv2.setNumThreads(1)
        rows = order.rank_batch(self.plan, epoch, step, self.world.rank, self.world.size)
        size = self.preprocessor.size
        images = np.zeros((len(rows), size, size), np.uint8)
        weak = np.zeros_like(images) if self.teacher_view else None
        label = np.zeros(len(rows), np.int64)
        whole = order.global_batch(self.plan, epoch, step)
        known = whole[whole[:, 0] >= 0]
        for n, (g, i) in enumerate(np.where(rows < 0, known[0], rows)):
            # Padding shows a real picture again, for batch norms, and counts for nothing.
            group = self.groups[g]
            row = int(group.rows[i])
            image = self.preprocessor.resize(group.data.image(row))
            key = f"{group.data.manifest.name}/{group.data.index['key'].iat[row]}"
            # Groups after the first come round several times in an epoch: a new draw each time.
            place = (epoch * self.steps_per_epoch + step) * len(whole) + n * self.world.size
            draw = epoch if g == 0 else place + self.world.rank
            images[n] = augment(image, self.kind, self.seed, draw, key)
            if weak is not None:  # the same flip: both begin with that draw
                view = "none" if self.kind == "none" else "weak"
                weak[n] = augment(image, view, self.seed, draw, key)
            label[n] = group.labels[i]
        seen = self.teacher_view
        return Batch(
            image=self.preprocessor.normalise(images),
            weak=seen.normalise(weak) if seen and weak is not None else None,
            label=torch.from_numpy(label),
            real=torch.from_numpy((rows[:, 0] >= 0).astype(np.float32)),
            global_real=len(known),
        )
