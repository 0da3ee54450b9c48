"""1000 resamples of 3133 patients: AUROC by running sums against a loop over sklearn.

    python -m tests.bench bootstrap

The loop is timed on 50 of the 1000 draws and its seconds multiplied by 20. Both sides get the same
draws and return the same values. Ours sorts once and returns average precision besides.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from eval.bootstrap import PatientDraws
from eval.ranking import Ranking
from tests.bench.harness import Row, alternate, clock, ms

N, DRAWS, LOOPED = 3133, 1000, 50


def ours(label: np.ndarray, score: np.ndarray, counts: np.ndarray) -> np.ndarray:
    return Ranking.of(label, score).statistics(counts, np.arange(len(label)))[0]


def sklearn_loop(label: np.ndarray, score: np.ndarray, counts: np.ndarray) -> np.ndarray:
    values = []
    for row in counts:
        drawn = np.repeat(np.arange(len(label)), row)
        values.append(roc_auc_score(label[drawn], score[drawn]))
    return np.array(values)


def run(folder: Path) -> list[Row]:
    rng = np.random.default_rng(0)
    label = (rng.random(N) < 0.55).astype(int)
    score = np.round(rng.normal(label, 0.9), 3)  # rounded: some ties
    counts = PatientDraws.of(N, DRAWS).counts
    few = counts[:LOOPED]
    np.testing.assert_allclose(ours(label, score, few), sklearn_loop(label, score, few), rtol=1e-12)
    loop = clock(lambda: sklearn_loop(label, score, few))
    times = alternate(
        {
            "ours": clock(lambda: ours(label, score, counts)),
            "sklearn": lambda: loop() * DRAWS / LOOPED,
            "draws": clock(lambda: PatientDraws.of(N, DRAWS)),
        }
    )
    what = f"AUROC of {DRAWS} resamples, n={N}"
    return [
        Row(
            what,
            ms(times.median("ours")),
            f"sklearn in a loop {ms(times.median('sklearn'))} (from {LOOPED})",
            times.ratio("sklearn", "ours"),
        ),
        Row("the draws themselves, once a cohort", ms(times.median("draws")), "-", "-"),
    ]
