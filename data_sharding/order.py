"""Which samples make the n-th global batch: a pure function of a plan, an epoch and a step.

Nothing here knows how many nodes, ranks or loader workers there are, nor how often the run was
stopped: the order is fixed by (identity, seed, sizes, slots), the ranks only deal it out. Resuming
is calling `rank_batch` with another (epoch, step).

Axes: a global batch is (row, 2) with the columns (group, sample); -1, -1 is a row of padding.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from data_sharding.schema import canonical_json

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Plan:
    """What decides the order.

    Group 0 is the primary group: an epoch is one pass over it. The other groups (say, proxies)
    fill their slots of every batch and go round and round, each round newly shuffled.
    """

    sizes: tuple[int, ...]  # samples of each group
    slots: tuple[int, ...]  # rows of each global batch for each group; the sum is the batch size
    seed: int
    identity: str = ""  # hash of the manifests: other data, other order
    shuffle: bool = True

    def __post_init__(self) -> None:
        """Refuse a plan that cannot be dealt out.

        Raises:
            ValueError: groups and slots do not match, or a group with slots has no samples.
        """
        if not self.sizes or len(self.sizes) != len(self.slots):
            raise ValueError(f"sizes {self.sizes} and slots {self.slots}: one of each per group")
        if self.slots[0] < 1 or min(self.slots) < 0:
            raise ValueError(f"slots {self.slots}: group 0 needs at least one, none is negative")
        for group, (size, slots) in enumerate(zip(self.sizes, self.slots, strict=True)):
            if size < 1 and slots > 0:
                raise ValueError(f"group {group} has {slots} slots in each batch but no samples")


def steps_per_epoch(plan: Plan) -> int:
    """Global batches in one pass over group 0: ceil(sizes[0] / slots[0])."""
    return -(-plan.sizes[0] // plan.slots[0])


@lru_cache(maxsize=16)
def permutation(plan: Plan, group: int, cycle: int) -> Ids:
    """The order of `group` in its `cycle`-th round, int64 [sizes[group]], read-only.

    The ranks of raw Philox words: numpy promises that stream for ever, which it does not promise
    of Generator.permutation.
    """
    size = plan.sizes[group]
    if plan.shuffle:
        text = canonical_json([plan.identity, plan.seed, group, cycle])
        key = np.frombuffer(hashlib.sha256(text.encode()).digest()[:16], dtype="<u8")
        words = np.asarray(np.random.Philox(key=key).random_raw(size))
        order = np.argsort(words, kind="stable").astype(np.int64)
    else:
        order = np.arange(size, dtype=np.int64)
    order.setflags(write=False)
    return order


def global_batch(plan: Plan, epoch: int, step: int) -> Ids:
    """Batch `step` of `epoch`, int64 [sum(slots), 2]: (group, sample id within the group).

    Only rows of group 0, and only those of an epoch's last batch, can be padding (-1, -1).

    Raises:
        ValueError: the epoch has no such step.
    """
    steps = steps_per_epoch(plan)
    if epoch < 0 or not 0 <= step < steps:
        raise ValueError(f"epoch {epoch}, step {step}: an epoch has the steps 0 to {steps - 1}")
    parts: list[Ids] = []
    for group, (size, slots) in enumerate(zip(plan.sizes, plan.slots, strict=True)):
        rows = np.full((slots, 2), -1, dtype=np.int64)
        if group == 0:
            ids = permutation(plan, 0, epoch)[step * slots : (step + 1) * slots]
            rows[: len(ids), 0] = 0
            rows[: len(ids), 1] = ids
        else:
            first = (epoch * steps + step) * slots
            taken = 0
            while taken < slots:  # more than one round where a group is smaller than its slots
                cycle, at = divmod(first + taken, size)
                ids = permutation(plan, group, cycle)[at : at + slots - taken]
                rows[taken : taken + len(ids), 1] = ids
                taken += len(ids)
            rows[:, 0] = group
        parts.append(rows)
    return np.concatenate(parts)


def deal(rows: Ids, rank: int, world: int) -> Ids:
    """Rows rank, rank + world, ... of `rows` padded with -1 to a multiple of `world`.

    Every rank gets the same number of rows, and the ranks together get each row once.

    Raises:
        ValueError: there is no such rank.
    """
    if not 0 <= rank < world:
        raise ValueError(f"rank {rank} of a world of {world}")
    short = -len(rows) % world
    padding = np.full((short, *rows.shape[1:]), -1, dtype=np.int64)
    return np.concatenate([rows, padding])[rank::world]


def rank_batch(plan: Plan, epoch: int, step: int, rank: int, world: int) -> Ids:
    """This rank's rows of the global batch, int64 [ceil(sum(slots) / world), 2]."""
    return deal(global_batch(plan, epoch, step), rank, world)


def sequential(n: int, batch: int, rank: int, world: int) -> Ids:
    """For evaluation: every one of `n` samples once over all ranks, int64 [steps, rows], -1 padded.

    `batch` is global; steps = ceil(n / batch) and rows = ceil(batch / world) on every rank.

    Raises:
        ValueError: a batch of nothing, or no such rank.
    """
    if n < 0 or batch < 1:
        raise ValueError(f"{n} samples in batches of {batch}")
    steps = -(-n // batch)
    ids = np.full(steps * batch, -1, dtype=np.int64)
    ids[:n] = np.arange(n)
    # ids: (steps, batch) -> this rank's (steps, rows)
    return deal(ids.reshape(steps, batch).T, rank, world).T.copy()
