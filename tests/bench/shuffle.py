"""How well the order shuffles, and what a batch touches; every figure against pure chance.

    python -m tests.bench shuffle

80,000 samples in shards of 256, batches of 64, a third of class 1, and for the hardest case the
same sorted by class. Rank correlations are Spearman's, of the place where a sample is stored with
the place where it is served, and between the places in two epochs running; chance alone gives a
standard deviation of 1/sqrt(n - 1). A class's mean run length is divided by the one that a random
order of the same classes has (Wald and Wolfowitz 1940): below 1 the classes alternate more often.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from data_sharding.order import Plan, permutation, steps_per_epoch
from tests.bench.harness import Row, number

N, PER_SHARD, BATCH, SPREAD, EPOCHS = 80_000, 256, 64, 16, 5


@dataclass(frozen=True)
class Quality:
    """Of one epoch of group 0."""

    with_stored: float  # Spearman's rho of served place with stored place
    with_next: float  # and with the place in the next epoch
    run_length: float  # mean length of runs of one class, over that of a random order
    shards_mean: float  # shards that a batch touches
    shards_most: int
    off_most: float  # largest distance of a batch's class count from its share


def quality(plan: Plan, epoch: int, labels: np.ndarray, shard: np.ndarray) -> Quality:
    """Measure an epoch.

    Args:
        plan: its group 0 is looked at.
        epoch: which.
        labels: int [N], class of each sample.
        shard: int [N], shard of each sample.
    """
    served, after = permutation(plan, 0, epoch), permutation(plan, 0, epoch + 1)
    n = len(served)
    place, place_after = np.argsort(served), np.argsort(after)
    classes = labels[served]
    counts = np.bincount(labels)
    runs = 1 + np.count_nonzero(np.diff(classes))
    expected_runs = n - float((counts * (counts - 1)).sum()) / n
    batches = [
        served[s * plan.slots[0] : (s + 1) * plan.slots[0]] for s in range(steps_per_epoch(plan))
    ]
    touched = [len(np.unique(shard[b])) for b in batches]
    off = [
        np.abs(np.bincount(labels[b], minlength=len(counts)) - len(b) * counts / n).max()
        for b in batches
    ]
    return Quality(
        float(spearmanr(np.arange(n), place).statistic),
        float(spearmanr(place, place_after).statistic),
        expected_runs / runs,
        float(np.mean(touched)),
        max(touched),
        float(max(off)),
    )


def plan_of(labels: np.ndarray, strata: bool, spread: int, per_shard: int = PER_SHARD) -> Plan:
    """A plan over samples stored in the order of `labels`."""
    n = len(labels)
    sizes = tuple(min(per_shard, n - i) for i in range(0, n, per_shard))
    return Plan(
        *((n,), (BATCH,), 0, "bench"),
        spread=spread,
        shards=(sizes,) if spread else (),
        strata=labels.astype(np.uint8).tobytes() if strata else b"",
    )


def run(folder: Path) -> list[Row]:
    rng = np.random.default_rng(0)
    mixed = (rng.random(N) < 1 / 3).astype(np.int64)
    shard = np.arange(N) // PER_SHARD
    rows = []
    for stored, labels in (("classes mixed", mixed), ("sorted by class", np.sort(mixed))):
        for strata in (False, True):
            for spread in (0, SPREAD):
                plan = plan_of(labels, strata, spread)
                each = [quality(plan, e, labels, shard) for e in range(EPOCHS)]
                what = "blocks of 16 shards" if spread else "all shards"
                what += ", strata" if strata else ""
                rho = max(abs(q.with_stored) for q in each)
                rho_next = max(abs(q.with_next) for q in each)
                chance = 1 / np.sqrt((N / PER_SHARD if spread else N) - 1)
                runs = np.mean([q.run_length for q in each])
                touched = np.mean([q.shards_mean for q in each])
                rows.append(
                    Row(
                        f"shuffle of {what}; stored {stored}",
                        f"rho {rho:.3f}, next epoch {rho_next:.3f}; class runs {runs:.2f} of chance"
                        f"; {number(float(touched))} shards a batch, at most "
                        f"{max(q.shards_most for q in each)}; class counts off by at most "
                        f"{max(q.off_most for q in each):.2f}",
                        f"chance: rho {chance:.3f} (one SD)",
                        "-",
                    )
                )
    return rows
