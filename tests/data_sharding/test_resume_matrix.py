"""Killed anywhere, in a world of any size, with any loader workers: the same samples in order.

What was served is read from the pixels of the batches, not from the code that decides the order.
The loader workers are real processes: one loader with 1 worker and one with 3 live through all the
kill points, as they do through the epochs of a run. Killing is dropping the iterators of all ranks
while batches are still on their way.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from data_sharding.reader import ShardDataset
from tests.data_sharding.many import make_few
from training.preprocess import Preprocessor
from training.stream import Batch, Group, Stream
from training.world import World

WORLDS, WORKERS, EPOCHS = (1, 2, 3, 4, 6, 8, 12), (0, 1, 3), 2
SHAPE, CPU = (4, 4), torch.device("cpu")
ORDERS = {"full": (False, 0), "strata": (True, 0), "blocks": (False, 2), "both": (True, 2)}

Served = list[tuple[int, int, int]]  # (epoch, step, sample); of the second group, 1000 + sample


@pytest.fixture(scope="module")
def groups(tmp_path_factory: pytest.TempPathFactory) -> list[Group]:
    """41 labelled samples in shards of 7, and 11 of a second source."""
    root = tmp_path_factory.mktemp("matrix")
    first = ShardDataset(make_few(root / "a", 41, 7, SHAPE, "a"))
    second = ShardDataset(make_few(root / "b", 11, 7, SHAPE, "b"))
    labels = first.index["label"].to_numpy(np.int64)
    return [Group(first, np.arange(41), labels), Group(second, np.arange(11), np.full(11, 2))]


def stream(groups: list[Group], order: str, workers: int) -> Stream:
    same = Preprocessor(size=4, mean=0.0, std=1.0, pixels="drawn/1", shape=SHAPE)
    stratify, spread = ORDERS[order]
    return Stream(
        *(groups, (15, 5), same, "none", 5, World(0, 1, CPU)),
        loader_workers=workers,
        stratify=stratify,
        spread=spread,
    )


def samples(batch: Batch) -> list[int]:
    """The number in the first 4 bytes of each picture; -1 for padding."""
    raw = (batch.image * 255).round().to(torch.uint8).numpy()
    ids = raw.reshape(len(raw), -1)[:, :4].copy().view("<u4")[:, 0].astype(int)
    ids = ids + 1000 * (batch.label.numpy() == 2)
    return np.where(batch.real.numpy() > 0, ids, -1).tolist()


def serve(made: Stream, world: int, start: tuple[int, int], stop: tuple[int, int]) -> Served:
    """What the ranks of a world see together from `start` until they are killed before `stop`."""
    served: Served = []
    for epoch in range(start[0], min(stop[0] + 1, EPOCHS)):
        first = start[1] if epoch == start[0] else 0
        last = stop[1] if epoch == stop[0] else made.steps_per_epoch
        ranks = [rank_serves(made, World(r, world, CPU), epoch, first, last) for r in range(world)]
        for step, rows in enumerate(zip(*ranks, strict=True), start=first):
            assert len({len(r) for r in rows}) == 1, "every rank gets as many rows"
            # rank is the fast axis
            served += [(epoch, step, i) for row in zip(*rows, strict=True) for i in row if i >= 0]
    return served


def rank_serves(made: Stream, world: World, epoch: int, first: int, last: int) -> list[list[int]]:
    made.world = world
    batches: Iterator[Batch] = made.epoch(epoch, start=first)
    return [samples(next(batches)) for _ in range(first, last)]  # and drops the iterator


@pytest.mark.filterwarnings("ignore:This DataLoader will create 3 worker")
@pytest.mark.parametrize(
    ("order", "kills", "workers"),
    [*((order, 100, (0,)) for order in ORDERS), ("both", 60, WORKERS)],
)
def test_any_kill_points_serve_what_the_undisturbed_run_serves(groups, order, kills, workers):
    rng = np.random.default_rng(list(order.encode()))
    made = {n: stream(groups, order, n) for n in workers}
    steps = made[0].steps_per_epoch
    assert steps == 3
    calm = serve(made[0], 1, (0, 0), (EPOCHS, 0))
    for epoch in range(EPOCHS):  # an epoch is one pass over the first group
        of_group = sorted(i for e, _, i in calm if e == epoch and i < 1000)
        assert of_group == list(range(41))
    killed = 0
    while killed < kills:
        # one to three kills a run; each life has its own number of ranks and of loader workers
        ends = sorted(rng.integers(0, EPOCHS * steps + 1, rng.integers(1, 4)).tolist())
        at, seen, lives = (0, 0), [], []
        for end in [*ends, EPOCHS * steps]:
            stop = divmod(end, steps)
            lives.append((int(rng.choice(WORLDS)), int(rng.choice(workers)), at, stop))
            seen += serve(made[lives[-1][1]], lives[-1][0], at, stop)
            at = stop  # all that a checkpoint holds
        assert seen == calm, lives
        killed += len(ends)


def test_a_batch_lost_or_served_twice_would_be_seen(groups):
    made = stream(groups, "full", 0)
    calm = serve(made, 1, (0, 0), (EPOCHS, 0))
    assert serve(made, 3, (0, 0), (0, 1)) + serve(made, 3, (0, 2), (EPOCHS, 0)) != calm
    assert serve(made, 3, (0, 0), (0, 2)) + serve(made, 3, (0, 1), (EPOCHS, 0)) != calm


def test_each_batch_has_its_share_of_each_class_and_source(groups):
    made = stream(groups, "both", 0)
    for step in range(made.steps_per_epoch):
        batch = made.batch(0, step, 0, 1)
        of = batch.label[batch.real > 0].bincount(minlength=3).tolist()
        n = 15 if step < 2 else 11
        assert of[2] == 5, "labelled to proxies 3:1"
        assert of[0] + of[1] == n
        assert abs(of[1] - n * 14 / 41) < 1
