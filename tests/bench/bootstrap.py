"""1000 resamples of 3133 patients: AUROC by running sums against a loop over sklearn.

    python -m tests.bench bootstrap

The loop is timed on 50 of the 1000 draws and its seconds multiplied by 20. In the first row both
sides do all of it, drawing included, and return the same interval's values; in the second both are
given the draws. Then DeLong's paired test on a million rows against the two argsorts in it, and
twelve metrics of forty subgroups under 2000 shared resamples.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from eval.bootstrap import PatientDraws
from eval.delong import delong_test
from eval.intervals import bootstrap_auc
from eval.ranking import Ranking
from eval.resampled_ratios import METRICS, bootstrap_metrics
from tests.bench.harness import Row, alternate, clock, ms

N, DRAWS, LOOPED = 3133, 1000, 50


def ours(label: np.ndarray, score: np.ndarray, counts: np.ndarray) -> np.ndarray:
    everyone = np.arange(len(label))
    return Ranking.of(label, score).statistics(counts, everyone, with_precision=False)[0]


def sklearn_loop(label: np.ndarray, score: np.ndarray, counts: np.ndarray) -> np.ndarray:
    values = []
    for row in counts:
        drawn = np.repeat(np.arange(len(label)), row)
        values.append(roc_auc_score(label[drawn], score[drawn]))
    return np.array(values)


def sklearn_bootstrap(label: np.ndarray, score: np.ndarray, draws: int) -> np.ndarray:
    rng, values = np.random.default_rng(0), []
    for _ in range(draws):
        drawn = rng.integers(len(label), size=len(label))
        values.append(roc_auc_score(label[drawn], score[drawn]))
    return np.array(values)


def million() -> Row:
    rng = np.random.default_rng(1)
    label = (rng.random(10**6) < 0.4).astype(int)
    first, second = rng.normal(size=(2, label.size)) + label
    times = alternate(
        {
            "ours": clock(lambda: delong_test(label, first, second)),
            "argsorts": clock(lambda: (np.argsort(first), np.argsort(second))),
        }
    )
    return Row(
        "paired DeLong test, n=1,000,000",
        ms(times.median("ours")),
        f"its two argsorts alone {ms(times.median('argsorts'))}",
        times.ratio("argsorts", "ours"),
    )


def subgroups() -> Row:
    """40 groups of 10,000 people, 12 metrics each, 2000 shared resamples, drawing included."""
    rng = np.random.default_rng(2)
    n = 10_000
    label = (rng.random(n) < 0.4).astype(int)
    risk = 1 / (1 + np.exp(0.5 - label - rng.normal(size=n)))
    levels, everyone = rng.integers(10, size=(4, n)), np.arange(n)

    def all_of_them() -> None:
        draws = PatientDraws.of(n, 2000)
        for rows in (of == level for of in levels for level in range(10)):
            bootstrap_metrics(label[rows], risk[rows], 0.5, draws, everyone[rows])

    times = alternate({"ours": clock(all_of_them)}, rounds=3)
    what = f"40 subgroups x {len(METRICS)} metrics x 2000 resamples, n={n:,}"
    return Row(what, ms(times.median("ours")), "-", "-")


def run(folder: Path) -> list[Row]:
    rng = np.random.default_rng(0)
    label = (rng.random(N) < 0.55).astype(int)
    score = np.round(rng.normal(label, 0.9), 3)  # rounded: some ties
    counts = PatientDraws.of(N, DRAWS).counts
    few = counts[:LOOPED]
    np.testing.assert_allclose(ours(label, score, few), sklearn_loop(label, score, few), rtol=1e-12)
    whole = bootstrap_auc(label, score, n=LOOPED)
    np.testing.assert_allclose(whole.draws, sklearn_loop(label, score, few), rtol=1e-12)
    loop = clock(lambda: sklearn_loop(label, score, few))
    loop_of_all = clock(lambda: sklearn_bootstrap(label, score, LOOPED))
    times = alternate(
        {
            "ours": clock(lambda: ours(label, score, counts)),
            "all of ours": clock(lambda: bootstrap_auc(label, score, n=DRAWS)),
            "sklearn": lambda: loop() * DRAWS / LOOPED,
            "all of sklearn": lambda: loop_of_all() * DRAWS / LOOPED,
            "draws": clock(lambda: PatientDraws.of(N, DRAWS)),
        }
    )
    what = f"AUROC of {DRAWS} resamples, n={N}"
    return [
        Row(
            f"{what}, drawing included",
            ms(times.median("all of ours")),
            f"sklearn in a loop {ms(times.median('all of sklearn'))} (from {LOOPED})",
            times.ratio("all of sklearn", "all of ours"),
        ),
        Row(
            f"{what}, draws shared",
            ms(times.median("ours")),
            f"sklearn in a loop {ms(times.median('sklearn'))} (from {LOOPED})",
            times.ratio("sklearn", "ours"),
        ),
        Row("the draws themselves, once a cohort", ms(times.median("draws")), "-", "-"),
        million(),
        subgroups(),
    ]
