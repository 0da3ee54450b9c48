"""What the tests between runs cost, beside the sorting of the same rows."""

import time

import numpy as np

from eval.comparison.contrasts import contrasts
from eval.comparison.entries import Entry


def test_many_rows_are_quick():
    """The tests alone: two runs of 20,000 pictures, against the time that sorting them takes."""
    rng = np.random.default_rng(0)
    n = 20_000
    label = (rng.random(n) < 0.3).astype(np.int64)
    who = np.arange(n) // 2
    runs = [
        Entry(f"r{i}", "c", "m", np.arange(n), who, label, rng.random(n), 0.5) for i in range(6)
    ]
    start = time.perf_counter()
    made = contrasts(runs, 0.95)
    took = time.perf_counter() - start
    start = time.perf_counter()
    for e in runs:
        np.argsort(e.probability)
    sorting = (time.perf_counter() - start) / len(runs)
    assert len(made) == 15
    assert took / len(made) < 60 * sorting
