from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_sharding.order import (
    Plan,
    global_batch,
    permutation,
    rank_batch,
    sequential,
    steps_per_epoch,
)

WORLDS = (1, 2, 3, 4, 6, 8)
PLAN = Plan(sizes=(101, 23), slots=(12, 4), seed=7, identity="abc")


def epoch_of(plan: Plan, epoch: int) -> np.ndarray:
    return np.concatenate([global_batch(plan, epoch, s) for s in range(steps_per_epoch(plan))])


def test_an_epoch_is_one_pass_over_the_primary_group():
    for epoch in range(3):
        rows = epoch_of(PLAN, epoch)
        assert sorted(rows[rows[:, 0] == 0, 1]) == list(range(101))


def test_padding_is_in_the_last_batch_of_group_0_only():
    steps = steps_per_epoch(PLAN)
    assert steps == 9
    for step in range(steps):
        batch = global_batch(PLAN, 0, step)
        assert batch.shape == (16, 2)
        assert (batch == -1).all(axis=1).sum() == (9 * 12 - 101 if step == steps - 1 else 0)
        assert (batch[:, 0] == 1).sum() == 4


@pytest.mark.parametrize("world", WORLDS)
def test_the_ranks_deal_out_the_global_batch_whatever_the_world(world):
    for step in (0, 8):
        want = global_batch(PLAN, 2, step)
        parts = [rank_batch(PLAN, 2, step, rank, world) for rank in range(world)]
        assert len({p.shape for p in parts}) == 1
        dealt = np.stack(parts, axis=1).reshape(-1, 2)  # rank is the fast axis
        assert np.array_equal(dealt[:16], want)
        assert (dealt[16:] == -1).all()


def test_epochs_seeds_and_identities_differ_and_repeat():
    first = epoch_of(PLAN, 0)
    assert not np.array_equal(first, epoch_of(PLAN, 1))
    assert not np.array_equal(first, epoch_of(Plan((101, 23), (12, 4), 8, "abc"), 0))
    assert not np.array_equal(first, epoch_of(Plan((101, 23), (12, 4), 7, "abd"), 0))
    permutation.cache_clear()
    assert np.array_equal(first, epoch_of(PLAN, 0))


def test_a_secondary_group_cycles_without_end_and_without_gaps():
    drawn = np.concatenate([epoch_of(PLAN, e) for e in range(4)])
    ids = drawn[drawn[:, 0] == 1, 1]
    rounds = [ids[at : at + 23] for at in range(0, len(ids) - 22, 23)]
    assert len(rounds) >= 6
    for one in rounds:
        assert sorted(one) == list(range(23))
    assert not np.array_equal(rounds[0], rounds[1])


def test_a_group_smaller_than_its_slots():
    plan = Plan((10, 3), (2, 8), 0)
    counts = Counter(global_batch(plan, 0, 0)[2:, 1].tolist())
    assert sorted(counts.values()) == [2, 3, 3]


def test_unshuffled_is_in_order():
    plan = Plan((5,), (2,), 0, shuffle=False)
    assert epoch_of(plan, 3)[:, 1].tolist() == [0, 1, 2, 3, 4, -1]


def test_the_order_of_a_seed_is_for_ever():
    # The words are Philox's raw stream, which numpy promises to keep: this must never change.
    assert permutation(Plan((8,), (4,), 0, "x"), 0, 0).tolist() == FOREVER


FOREVER = [2, 5, 1, 0, 6, 7, 4, 3]


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("n", [0, 1, 7, 8, 30])
def test_evaluation_sees_every_sample_once(n, world):
    parts = [sequential(n, 8, rank, world) for rank in range(world)]
    assert len({p.shape for p in parts}) == 1
    ids = np.concatenate([p.ravel() for p in parts])
    assert sorted(ids[ids >= 0]) == list(range(n))
    assert parts[0].shape == (-(-n // 8), -(-8 // world))


@settings(max_examples=50, deadline=None)
@given(
    size=st.integers(1, 60),
    slots=st.integers(1, 20),
    world=st.integers(1, 9),
    epoch=st.integers(0, 5),
    seed=st.integers(0, 2**63),
)
def test_any_plan_deals_each_sample_once(size, slots, world, epoch, seed):
    plan = Plan((size,), (slots,), seed)
    rows = [
        rank_batch(plan, epoch, step, rank, world)
        for step in range(steps_per_epoch(plan))
        for rank in range(world)
    ]
    ids = np.concatenate(rows)[:, 1]
    assert sorted(ids[ids >= 0]) == list(range(size))


@pytest.mark.parametrize(
    ("sizes", "slots"), [((0,), (4,)), ((4, 0), (2, 2)), ((4,), (0,)), ((4,), (2, 2)), ((), ())]
)
def test_plans_that_cannot_be_dealt(sizes, slots):
    with pytest.raises(ValueError, match=r"group|sizes|slots"):
        Plan(sizes, slots, 0)


def test_no_such_step_or_rank():
    with pytest.raises(ValueError, match="steps 0 to 8"):
        global_batch(PLAN, 0, 9)
    with pytest.raises(ValueError, match="rank 2"):
        rank_batch(PLAN, 0, 0, 2, 2)
