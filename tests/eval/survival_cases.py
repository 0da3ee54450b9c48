"""Cohorts for the tests of survival: those R was asked about, and simulated ones."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

#: By name: time, event, score, ... and what each package said. Made by survival_reference.py.
CASES = json.loads((Path(__file__).parent / "survival_reference.json").read_text())["cases"]


def cohort(n: int, seed: int, ties: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Time, event and score; whole numbers with `ties`."""
    rng = np.random.default_rng(seed)
    score = rng.normal(size=n)
    fracture, last = rng.exponential(4 * np.exp(-score)), rng.uniform(0, 8, n)
    time = np.minimum(fracture, last)
    if ties:
        return np.ceil(time), fracture <= last, np.round(score)
    return time, fracture <= last, score
