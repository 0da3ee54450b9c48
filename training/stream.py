"""From packed datasets to the batches of one rank, in the order `data_sharding.order` decides."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from data_sharding import order
from data_sharding.reader import ShardDataset
from training.augmentation import Parameters, parameters_of
from training.augmentation.device import augment_batch
from training.batch import Batch
from training.preprocess import Preprocessor, seen
from training.world import World


@dataclass(frozen=True)
class Group:
    """Samples with labels: rows of a packed dataset (a subset, in a fixed order)."""

    data: ShardDataset
    rows: np.ndarray  # int64 [N], rows of data.index
    labels: np.ndarray  # int64 [N], 0 or 1, or of three classes 2
    #: What frozen networks made of both weak views (`training.frozen`), float32 [len(data), 2, K]:
    faces: np.ndarray | None = None  # FaceNet's embeddings, for a network that is given them


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


@dataclass
class _Drawn:
    """What a loader worker makes: the rest is done where the model is."""

    batch: Batch  # its image is uint8 or uint16 [b, h, w], or uint8 [b, h, w, 3] still
    parameters: list[Parameters]  # of the augmentation that is left to do; none: it is done
    keys: list[str | None]  # None for padding, so that ranks' rows dealt together are the order

    def pin_memory(self) -> _Drawn:
        return replace(self, batch=self.batch.pin_memory())


class _Batches(Dataset):
    """At -> what a batch is made of: random access, so that any worker may make any batch."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream

    def __getitem__(self, at: At) -> _Drawn:
        return self.stream.draw(*at)


class Stream:
    """Training batches of one rank; resumable at any (epoch, step), in a world of any size.

    With `stratify` each batch's rows of group 0 hold its classes in their proportion, to the whole
    sample. With `spread` that many shards are shuffled together, instead of all (see `order`).
    Whoever looks at the weak view gets it resized to each of `weak`; or what teachers said of it,
    where that is known: `said`, for each group float32 [len(group.data), 2, C] (see `logits`).
    `kind` and `strength` are of the augmentation.
    With `augment_on="device"` loader workers read and draw, and the device transforms in batch.
    `served` is a file for this launch and rank, which gets a line a step: what was handed over.
    """

    def __init__(
        self,
        groups: list[Group],
        slots: tuple[int, ...],
        preprocessor: Preprocessor,
        kind: str,
        seed: int,
        world: World,
        weak: tuple[int, ...] = (),
        said: Sequence[np.ndarray] | None = None,
        loader_workers: int = 0,
        stratify: bool = False,
        spread: int = 0,
        augment_on: str = "cpu",
        served: Path | None = None,
        strength: float = 1.0,
    ) -> None:
        self.groups, self.preprocessor, self.kind = groups, preprocessor, kind
        self.seed, self.world, self.weak, self.said = seed, world, weak, said
        self.loader_workers, self.served, self.strength = loader_workers, served, strength
        self.on_device = augment_on == "device"
        if served:
            served.parent.mkdir(parents=True, exist_ok=True)
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
        """The batches of an epoch from step `start` on, on the world's device.

        They are made ahead: by loader workers, or without any by a thread, one while the last one
        is learnt from.
        """
        rank, size = self.world.rank, self.world.size
        at = [(epoch, step, rank, size) for step in range(start, self.steps_per_epoch)]
        for drawn in self._by_workers(at) if self.loader_workers else self._by_a_thread(at):
            batch = self._finish(drawn)
            if self.served:
                self._note(drawn, self.served)
            yield batch

    def _by_workers(self, at: list[At]) -> Iterator[_Drawn]:
        if self._loader is None:
            self._loader = DataLoader(
                _Batches(self),
                batch_size=None,
                sampler=self._steps,
                num_workers=self.loader_workers,
                multiprocessing_context="spawn",
                persistent_workers=True,
                worker_init_fn=_apart,
                pin_memory=self.world.device.type == "cuda",
            )
        self._steps.at = at
        yield from self._loader

    def _by_a_thread(self, at: list[At]) -> Iterator[_Drawn]:
        with ThreadPoolExecutor(1, "batches") as maker:
            coming = [maker.submit(self._pinned, *a) for a in at[:1]]
            for a in at[1:]:
                drawn = coming.pop().result()
                coming.append(maker.submit(self._pinned, *a))
                yield drawn
            yield from (c.result() for c in coming)

    def _pinned(self, *at: int) -> _Drawn:
        drawn = self.draw(*at)
        return drawn.pin_memory() if self.world.device.type == "cuda" else drawn

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_loader": None}  # for loader workers, which have none

    def batch(self, epoch: int, step: int, rank: int, size: int) -> Batch:
        """One rank's part of global batch `step` of `epoch`, in a world of `size`."""
        return self._finish(self.draw(epoch, step, rank, size))

    def draw(self, epoch: int, step: int, rank: int, size: int) -> _Drawn:
        """The same as far as a loader worker makes it."""
        cv2.setNumThreads(1)
        whole = order.global_batch(self.plan, epoch, step)
        rows = order.deal(whole, rank, size)
        if self._remote:
            self._prefetch(rows, epoch, step + AHEAD, rank, size)
        images: list[np.ndarray] = []
        weak: list[list[np.ndarray]] = [[] for _ in self.weak]
        said: list[np.ndarray] = []
        faces: list[np.ndarray] = []
        parameters: list[Parameters] = []
        keys: list[str | None] = []
        label = np.zeros(len(rows), np.int64)
        known = whole[whole[:, 0] >= 0]
        for n, (g, i) in enumerate(np.where(rows < 0, known[0], rows)):
            # Padding shows a real picture again, for batch norms, and counts for nothing.
            group = self.groups[g]
            row = int(group.rows[i])
            picture = group.data.image(row)
            image = self.preprocessor.resize(picture)
            key = f"{group.data.manifest.name}/{group.data.key(row)}"
            # Groups after the first come round several times in an epoch: a new draw each time.
            place = (epoch * self.steps_per_epoch + step) * len(whole) + n * size + rank
            at = self.seed, epoch if g == 0 else place, key
            view = 0
            if self.kind != "none":
                drawn = parameters_of(self.kind, image.shape, *at, strength=self.strength)
                # The weak view is that flip alone (`augmentation.view_of`).
                view = int(drawn.mirror)
                if self.on_device:
                    parameters.append(drawn)
                else:
                    image = drawn.apply(image)
            images.append(image)
            for views, picked in zip(weak, seen(picture, view, self.weak), strict=True):
                views.append(picked)
            if self.said:
                said.append(self.said[g][row, view])
            if group.faces is not None:
                faces.append(group.faces[row, view])
            label[n] = group.labels[i]
            keys.append(key if rows[n, 0] >= 0 else None)
        batch = Batch(
            image=torch.from_numpy(np.stack(images)),
            label=torch.from_numpy(label),
            real=torch.from_numpy((rows[:, 0] >= 0).astype(np.float32)),
            global_real=len(known),
            epoch=epoch,
            step=step,
            weak=tuple(torch.from_numpy(np.stack(views)) for views in weak),
            teacher=torch.from_numpy(np.stack(said)) if self.said else None,
            face=torch.from_numpy(np.stack(faces)) if faces else None,
        )
        return _Drawn(batch, parameters, keys)

    def _finish(self, drawn: _Drawn) -> Batch:
        batch = drawn.batch.to(self.world.device)
        if drawn.parameters:
            batch.image = augment_batch(batch.image, drawn.parameters)
        batch.image = self.preprocessor.normalise(batch.image)
        return batch

    def _note(self, drawn: _Drawn, path: Path) -> None:
        """One write a line: a killed process leaves no half of one."""
        where = {"epoch": drawn.batch.epoch, "step": drawn.batch.step}
        who = {"rank": self.world.rank, "size": self.world.size}
        with path.open("ab", buffering=0) as f:
            f.write((json.dumps(where | who | {"keys": drawn.keys}) + "\n").encode())

    def _prefetch(self, now: np.ndarray, epoch: int, later: int, rank: int, size: int) -> None:
        """Begin to download what `now` needs and what the step `later` will need."""
        epoch, later = epoch + later // self.steps_per_epoch, later % self.steps_per_epoch
        for rows in (now, order.rank_batch(self.plan, epoch, later, rank, size)):
            for g, group in enumerate(self.groups):
                group.data.prefetch(group.rows[rows[rows[:, 0] == g, 1]])


def _apart(worker: int) -> None:
    """In a session of its own: a Ctrl-C, or a signal to the job's group, is the consumer's to hear.

    It asks for batches until its checkpoint is written, and ends its workers itself.
    """
    os.setsid()


def _shard_sizes(group: Group) -> tuple[int, ...]:
    """How many neighbouring samples of the group lie in one shard, shard after shard."""
    shard = group.data.shards[group.rows]
    edges = np.flatnonzero(np.diff(shard)) + 1
    return tuple(len(run) for run in np.split(shard, edges) if len(run))
