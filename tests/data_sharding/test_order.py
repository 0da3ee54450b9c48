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
from tests.bench.shuffle import plan_of, quality

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
FOREVER_BLOCKS = [2, 1, 0, 5, 4, 3, 6, 7]
FOREVER_STRATA = [1, 5, 2, 6, 4, 7, 3, 0]


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


def shard_sizes(n: int, cuts: list[int]) -> tuple[int, ...]:
    edges = sorted({0, n, *(c % n for c in cuts)})
    return tuple(np.diff(edges).tolist())


PLANS = st.integers(1, 120).flatmap(
    lambda n: st.tuples(
        st.just(n),
        st.integers(1, 40),  # slots
        st.lists(st.integers(0, 4), min_size=n, max_size=n),  # classes
        st.lists(st.integers(1, 10**6), max_size=8),  # where shards begin
        st.integers(0, 4),  # spread
        st.integers(0, 3),  # epoch
        st.integers(0, 2**63),  # seed
    )
)


@settings(max_examples=200, deadline=None)
@given(PLANS)
def test_strata_are_exact_whatever_the_plan(drawn):
    """Each sample once, and in each batch floor or ceil of the proportional count of each class."""
    n, slots, classes, cuts, spread, epoch, seed = drawn
    plan = Plan(
        *((n,), (slots,), seed),
        spread=spread,
        shards=(shard_sizes(n, cuts),),
        strata=bytes(classes),
    )
    ids = permutation(plan, 0, epoch)
    assert sorted(ids) == list(range(n))
    total = Counter(classes)
    for step in range(steps_per_epoch(plan)):
        batch = ids[step * slots : (step + 1) * slots].tolist()
        counts = Counter(classes[i] for i in batch)
        for c in total:
            # in whole numbers: |count - share| < 1
            assert abs(counts[c] * n - len(batch) * total[c]) < n


@settings(max_examples=100, deadline=None)
@given(PLANS)
def test_blocks_bound_the_shards_of_a_batch(drawn):
    n, slots, _, cuts, spread, epoch, seed = drawn
    sizes = shard_sizes(n, cuts)
    plan = Plan((n,), (slots,), seed, spread=spread or 1, shards=(sizes,))
    ids = permutation(plan, 0, epoch)
    assert sorted(ids) == list(range(n))
    shard = np.repeat(np.arange(len(sizes)), sizes)
    # Shards come in blocks of `spread`: the blocks' shards are disjoint, and a block is done
    # before the next one begins.
    blocks = [shard[ids][a:b] for a, b in _block_edges(ids, shard, sizes, plan.spread)]
    assert sum(len(set(b.tolist())) for b in blocks) == len(sizes)
    assert all(len(set(b.tolist())) <= plan.spread for b in blocks)


def _block_edges(ids, shard, sizes, spread) -> list[tuple[int, int]]:
    """Where blocks begin and end: each takes whole shards, `spread` of them but for the last."""
    edges, at = [], 0
    while at < len(ids):
        seen: set[int] = set()
        total, end = 0, at
        while end < len(ids) and (int(shard[ids[end]]) in seen or len(seen) < spread):
            if int(shard[ids[end]]) not in seen:
                seen.add(int(shard[ids[end]]))
                total += sizes[int(shard[ids[end]])]
            end += 1
        assert end - at == total, "a block ends before its shards do"
        edges.append((at, end))
        at = end
    return edges


def test_strata_over_blocks_move_through_the_shards_side_by_side():
    labels = (np.random.default_rng(3).random(20_000) < 0.4).astype(np.int64)
    shard = np.arange(20_000) // 256
    for stored, most in ((labels, 8 * 2 + 6), (np.sort(labels), 2 * 2 * 8)):
        found = quality(plan_of(stored, True, 8), 1, stored, shard)
        assert found.off_most < 1
        assert found.shards_most <= most
        assert found.shards_mean < (11 if stored is labels else 17)


def test_how_well_it_shuffles():
    """Against chance: 20,000 samples, so one standard deviation of rho is .007 (over 79 shards
    that move as wholes, .11); four of them is the bound."""
    labels = (np.random.default_rng(1).random(20_000) < 1 / 3).astype(np.int64)
    shard = np.arange(20_000) // 256
    for strata in (False, True):
        for spread in (0, 8):
            for epoch in range(3):
                found = quality(plan_of(labels, strata, spread), epoch, labels, shard)
                bound = 4 / np.sqrt((79 if spread else 20_000) - 1)
                assert abs(found.with_stored) < bound
                assert abs(found.with_next) < bound
                assert 0.97 < found.run_length < 1.03
                assert found.shards_most <= (8 * 2 + (6 if strata else 0) if spread else 64)
    # What the measure says of an order that is none.
    stored = Plan((20_000,), (64,), 0, shuffle=False)
    found = quality(stored, 0, np.sort(labels), shard)
    assert found.with_stored == pytest.approx(1)
    assert found.run_length > 1000
    assert found.shards_most == 1


def test_every_rank_and_restart_sees_the_same_strata():
    strata = bytes(int(i % 3 == 0) for i in range(101))
    plan = Plan((101, 23), (12, 4), 7, "abc", spread=2, shards=((40, 40, 21), (23,)), strata=strata)
    calm = [global_batch(plan, e, s) for e in range(2) for s in range(9)]
    permutation.cache_clear()
    again = Plan(
        (101, 23), (12, 4), 7, "abc", spread=2, shards=((40, 40, 21), (23,)), strata=strata
    )
    for at, want in reversed(list(enumerate(calm))):
        parts = [rank_batch(again, *divmod(at, 9), rank, 3) for rank in range(3)]
        assert np.array_equal(np.stack(parts, axis=1).reshape(-1, 2)[:16], want)


def test_the_orders_of_blocks_and_strata_are_for_ever_too():
    plan = Plan((8,), (4,), 0, "x", spread=1, shards=((3, 3, 2),))
    assert permutation(plan, 0, 0).tolist() == FOREVER_BLOCKS
    plan = Plan((8,), (4,), 0, "x", strata=bytes([0, 0, 0, 0, 1, 1, 1, 1]))
    assert permutation(plan, 0, 0).tolist() == FOREVER_STRATA


@pytest.mark.parametrize(
    "wrong",
    [
        {"spread": -1},
        {"spread": 2},
        {"spread": 2, "shards": ((3,),)},
        {"spread": 2, "shards": ((4, 0),)},
        {"strata": b"\0\1"},
    ],
)
def test_shards_and_strata_that_are_not_those_of_the_samples(wrong):
    with pytest.raises(ValueError, match=r"spread|shards|classes"):
        Plan((4,), (2,), 0, **wrong)
