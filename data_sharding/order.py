"""Which samples make the n-th global batch: a pure function of a plan, an epoch and a step.

Nothing here knows how many nodes, ranks or loader workers there are, nor how often the run was
stopped: the order is fixed by the plan, the ranks only deal it out. Resuming is calling
`rank_batch` with another (epoch, step).

Three ways to shuffle, and what each promises (N samples in batches of B, class c has n_c of them):

- full: every order of the N samples is as likely as any other;
- blocks (`spread`): shards are shuffled, then samples within `spread` shards at a time. A batch
  touches at most `spread` shards, or twice as many where one block ends in it and the next begins;
- strata: on top of either. Every batch holds floor or ceil of B n_c / N samples of class c, which
  is the best that whole samples allow, and each class is shuffled as above. Over blocks the classes
  move through the shards side by side: a batch touches at most as many shards a class as above, and
  where the shards hold all classes alike, hardly more than without strata.

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
    spread: int = 0  # shards whose samples are shuffled together; 0: all of them
    shards: tuple[tuple[int, ...], ...] = ()  # with spread: samples of each shard, for each group
    strata: bytes = b""  # the class of each sample of group 0, a byte each; b"": as they come

    def __post_init__(self) -> None:
        """Refuse a plan that cannot be dealt out.

        Raises:
            ValueError: groups and slots do not match, a group with slots has no samples, or shards
                or strata are not those of the samples.
        """
        if not self.sizes or len(self.sizes) != len(self.slots):
            raise ValueError(f"sizes {self.sizes} and slots {self.slots}: one of each per group")
        if self.slots[0] < 1 or min(self.slots) < 0:
            raise ValueError(f"slots {self.slots}: group 0 needs at least one, none is negative")
        for group, (size, slots) in enumerate(zip(self.sizes, self.slots, strict=True)):
            if size < 1 and slots > 0:
                raise ValueError(f"group {group} has {slots} slots in each batch but no samples")
        if self.spread < 0:
            raise ValueError(f"spread {self.spread}: shards shuffled together, 0 for all")
        if self.spread and tuple(sum(s) for s in self.shards) != self.sizes:
            raise ValueError("shards: the samples of each shard must add up to each group's size")
        if any(n < 1 for sizes in self.shards for n in sizes):
            raise ValueError("shards: one without samples; leave it out")
        if self.strata and len(self.strata) != self.sizes[0]:
            raise ValueError(f"{len(self.strata)} classes for {self.sizes[0]} samples of group 0")


def steps_per_epoch(plan: Plan) -> int:
    """Global batches in one pass over group 0: ceil(sizes[0] / slots[0])."""
    return -(-plan.sizes[0] // plan.slots[0])


@lru_cache(maxsize=16)
def permutation(plan: Plan, group: int, cycle: int) -> Ids:
    """The order of `group` in its `cycle`-th round, int64 [sizes[group]], read-only."""
    order = _shuffled(plan, group, cycle)
    if group == 0 and plan.strata:
        order = _stratified(plan, cycle, order)
    order.setflags(write=False)
    return order


def _words(plan: Plan, group: int, cycle: int, count: int, *use: str) -> npt.NDArray[np.uint64]:
    """Random words for one round of one group: Philox, keyed by SHA-256.

    numpy promises that raw stream for ever, which it does not promise of Generator.permutation.
    """
    text = canonical_json([plan.identity, plan.seed, group, cycle, *use])
    key = np.frombuffer(hashlib.sha256(text.encode()).digest()[:16], dtype="<u8")
    return np.asarray(np.random.Philox(key=key).random_raw(count))


def _shuffled(plan: Plan, group: int, cycle: int) -> Ids:
    """A permutation of the group: as stored, shuffled whole, or shuffled block by block."""
    size = plan.sizes[group]
    if not plan.shuffle:
        return np.arange(size, dtype=np.int64)
    order = np.argsort(_words(plan, group, cycle, size), kind="stable").astype(np.int64)
    if not plan.spread:
        return order
    sizes = np.array(plan.shards[group])
    shards = np.argsort(_words(plan, group, cycle, len(sizes), "shards"), kind="stable")
    block_of_shard = np.empty(len(sizes), np.int64)
    block_of_shard[shards] = np.arange(len(sizes)) // plan.spread
    block = np.repeat(block_of_shard, sizes)
    # Within a block the order stays that of the whole shuffle, which is as good as its own.
    return order[np.argsort(block[order], kind="stable")]


def _stratified(plan: Plan, cycle: int, order: Ids) -> Ids:
    """`order` changed so that each batch has its share of each class, and no more than it takes.

    Sorted by class, the samples are dealt to the batches like cards, by a word of N letters in
    which any L neighbours name batch b either floor or ceil of L size(b) / N times. A class is such
    a run of neighbours. In the word the last batch, which may be short, comes at even distances and
    the others take turns between (if m of the others' letters lie within L, each has floor or ceil
    of m over their number, and m is off by less than one).
    """
    n, slots, steps = len(order), plan.slots[0], steps_per_epoch(plan)
    last = n - (steps - 1) * slots
    word = np.full(n, steps - 1, dtype=np.int64)
    others = np.ones(n, dtype=bool)
    others[(2 * np.arange(last) + 1) * n // (2 * last)] = False
    turns = np.arange(steps - 1)
    if plan.shuffle:  # so that it is not always the same batches that are rounded up
        turns = np.argsort(_words(plan, 0, cycle, steps - 1, "steps"), kind="stable")
    word[others] = np.resize(turns, n - last)

    strata = np.frombuffer(plan.strata, np.uint8)[order]
    by_class = np.argsort(strata, kind="stable")  # places in `order`, class after class
    start = strata[by_class].astype(np.int64) * steps
    # Each class in its own order: its first samples go to the first batches that take any.
    batch = np.sort(start + word) - start
    # Within a batch a new order: in that of `order` the classes would lie apart, for they do not
    # come to the same batch from quite the same places.
    row = _words(plan, 0, cycle, n, "rows") >> np.uint64(24) if plan.shuffle else by_class
    place = batch.astype(np.uint64) << np.uint64(40) | row.astype(np.uint64)
    return order[by_class[np.argsort(place, kind="stable")]]


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
