"""Raw batches of one rank, in the order `data_sharding.order` decides; numpy only.

    from data_sharding.batches import Batches
    from data_sharding.order import Plan
    from data_sharding.reader import ShardDataset

    if __name__ == "__main__":  # workers are new processes, which read this file again
        data = ShardDataset("shards/asan", split="train")
        plan = Plan((len(data),), slots=(64,), seed=0, identity=data.manifest.hash)
        with Batches([data], plan, rank=0, world=1, workers=2) as batches:
            for batch in batches.epoch(0, start=0):
                torch.from_numpy(batch.images)  # no copy

What is served depends on the plan, the epoch and the step alone: not on the workers, nor on where
an earlier run stopped. To resume is to ask for another (epoch, step). For one picture, and without
any copy, there is `data.image(i)`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from data_sharding import order
from data_sharding.fillers import PICTURES, Fillers, Here, Workers
from data_sharding.order import Ids, Plan
from data_sharding.reader import ShardDataset

#: A batch stays as it is until so many more have been taken.
KEEP = 2
#: Steps that downloads run ahead of what is made, where shards are in an object store.
DOWNLOAD_AHEAD = 32


@dataclass(frozen=True)
class Batch:
    """One rank's share of a global batch. b is the same on every rank and in every step."""

    images: npt.NDArray[np.uint8 | np.uint16]  # [b, H, W] or [b, H, W, 3]; padding is black
    ids: Ids  # int64 [b, 2], (number of the dataset, its sample); padding is -1, -1
    real: npt.NDArray[np.bool_]  # [b], False where it is padding
    extras: Mapping[str, npt.NDArray[Any]]  # of each asked for [b, ...]; padding is zeros


class Batches:
    """The batches of one rank, from this process or from workers that live through all epochs.

    A batch stays as it is until the next two have been taken, in the same epoch or in another, and
    then its memory is used again; with `copy` it is the caller's for good. One epoch runs at a
    time: its iterator may be dropped anywhere, and ends when the next one's first batch is taken.
    """

    def __init__(
        self,
        data: Sequence[ShardDataset],
        plan: Plan,
        *,
        rows: Sequence[npt.ArrayLike] | None = None,
        rank: int = 0,
        world: int = 1,
        workers: int = 0,
        ahead: int = 2,
        copy: bool = False,
        extras: Sequence[str] = (),
    ) -> None:
        """Start the workers; no shard is touched until the first batch is asked for.

        Args:
            data: a dataset for each group of the plan, all with pictures of one shape and depth.
            plan: what decides the order.
            rows: for each group int64 [N], the samples of its dataset that it is made of; by
                default all of them, as they are stored.
            rank: whose share, of `world`.
            world: ranks that share each global batch.
            workers: processes that make batches; 0 makes them in this one, when they are taken.
            ahead: batches that each worker may have made before they are taken.
            copy: hand out copies.
            extras: names of arrays beside the pictures that come with them; all datasets have them.

        Raises:
            ValueError: data, rows and plan do not fit together, or there is no such rank.
        """
        self.data, self.plan, self.rank, self.world = tuple(data), plan, rank, world
        self.copy, self.steps_per_epoch = copy, order.steps_per_epoch(plan)
        self._rows = _check(self.data, plan, rows)
        if workers < 0 or ahead < 1:
            raise ValueError(f"workers {workers}, ahead {ahead}: at least 0 and 1")
        self._remote = any(d.remote for d in self.data)
        for each in self.data:  # a batch may lie across two blocks
            each.check_cache(2 * plan.spread)
        b = len(order.deal(np.zeros((sum(plan.slots), 2), np.int64), rank, world))
        self._making = max(1, workers * ahead)  # batches at a time
        self._slots = self._making + KEEP - 1
        layout = tuple(
            (name, (self._slots, b, *shape), dtype)
            for name, shape, dtype in _layout(self.data, extras)
        )
        self._fillers: Fillers = (
            Workers(self.data, layout, workers) if workers else Here(self.data, layout)
        )
        self._taken = self._epochs = 0

    def __enter__(self) -> Batches:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the workers. The batches that were taken last stay as they are."""
        self._fillers.close()

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from step `start` on.

        Raises:
            ValueError: there is no such epoch or step. From the iterator: a shard is not what was
                packed, and is named; the next epoch may be begun behind it.
            RuntimeError: from the iterator: a worker died, and is named; all are ended then.
        """
        if epoch < 0 or not 0 <= start <= self.steps_per_epoch:
            raise ValueError(
                f"epoch {epoch}, step {start}: an epoch has {self.steps_per_epoch} steps"
            )
        return self._epoch(epoch, start)

    def _epoch(self, epoch: int, start: int) -> Iterator[Batch]:
        self._check_open()
        self._fillers.drop()  # what was asked for by an iterator that was dropped
        self._epochs += 1
        current = self._epochs
        asked: deque[tuple[int, Ids]] = deque()  # slots and what comes to lie there
        step = start
        while step < self.steps_per_epoch or asked:
            self._check_open()
            if current != self._epochs:
                raise ValueError("another epoch was begun since; use another Batches beside it")
            while step < self.steps_per_epoch and len(asked) < self._making:
                # At the furthest the slot of the batch KEEP before the one now taken.
                slot, ids = (self._taken + len(asked)) % self._slots, self._ids(epoch, step)
                self._fillers.ask(slot, ids, self._later(epoch, step))
                asked.append((slot, ids))
                step += 1
            self._fillers.answer()
            slot, ids = asked.popleft()
            self._taken += 1
            found = {name: ring[slot] for name, ring in self._fillers.rings.items()}
            if self.copy:
                found = {name: array.copy() for name, array in found.items()}
            yield Batch(found.pop(PICTURES), ids, ids[:, 0] >= 0, found)

    def _check_open(self) -> None:
        if self._fillers.closed:
            raise ValueError("these batches are closed; make others")

    def _ids(self, epoch: int, step: int) -> Ids:
        """This rank's rows of a step, int64 [b, 2], (dataset, its sample)."""
        ids = order.rank_batch(self.plan, epoch, step, self.rank, self.world)
        for group, rows in enumerate(self._rows):
            of_group = ids[:, 0] == group
            ids[of_group, 1] = rows[ids[of_group, 1]]
        return ids

    def _later(self, epoch: int, step: int) -> Ids:
        """What to download meanwhile."""
        if not self._remote:
            return np.empty((0, 2), np.int64)
        further, at = divmod(step + DOWNLOAD_AHEAD, self.steps_per_epoch)
        return self._ids(epoch + further, at)


def _layout(
    data: tuple[ShardDataset, ...], extras: Sequence[str]
) -> list[tuple[str, tuple[int, ...], str]]:
    """Name, shape and dtype of what a sample is made of; ValueError where a dataset has another."""
    first = data[0].manifest
    out: list[tuple[str, tuple[int, ...], str]] = [(PICTURES, first.image_shape, first.image_dtype)]
    for name in dict.fromkeys(extras):
        found = [e for d in data for e in d.manifest.extras if e.name == name]
        if len(found) < len(data) or any(e != found[0] for e in found):
            raise ValueError(f"extra {name!r}: not there, or not alike, in every dataset")
        out.append((name, found[0].shape, found[0].dtype))
    return out


def _check(
    data: tuple[ShardDataset, ...], plan: Plan, rows: Sequence[npt.ArrayLike] | None
) -> list[Ids]:
    """For each group the rows of its dataset; ValueError if they are not those of the plan."""
    every = [np.arange(len(d)) for d in data] if rows is None else rows
    found = [np.array(r, dtype=np.int64) for r in every]
    if not len(data) == len(found) == len(plan.sizes):
        raise ValueError(
            f"{len(data)} datasets and rows for {len(found)}, where the plan has "
            f"{len(plan.sizes)} groups"
        )
    shapes = {d.manifest.image_shape for d in data}
    if len(shapes) > 1:
        raise ValueError(f"pictures of {sorted(shapes)}: a batch has one shape. Pack to one size.")
    dtypes = {d.manifest.image_dtype for d in data}
    if len(dtypes) > 1:
        raise ValueError(f"pictures of {' and '.join(sorted(dtypes))}: pack with the same --pixels")
    for group, (each, taken, size) in enumerate(zip(data, found, plan.sizes, strict=True)):
        if taken.shape != (size,):
            raise ValueError(f"group {group} has {taken.size} samples, and {size} in the plan")
        if size and not 0 <= taken.min() <= taken.max() < len(each):
            raise ValueError(f"rows of group {group}: {each.folder} has 0 to {len(each) - 1}")
    return found
