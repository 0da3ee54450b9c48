"""Precision belongs to a prevalence: what the tune split shows is not yet true of the public set.

Of two populations that differ in how common the disease is and in nothing else (label shift), the
odds of a right answer above a threshold differ by the ratio of the odds of the classes:

    odds(right, public) = odds(right, tune) * odds(class, public) / odds(class, tune)
"""

from __future__ import annotations

import numpy as np


def odds(share: float) -> float:
    """share / (1 - share)."""
    return share / (1 - share)


def moved(precision: float, of: float, to: float) -> float:
    """The precision at a class share of `to`, of one found at a class share of `of` (0 < both < 1).

    `moved(target, of=public, to=tune)` is the precision to ask for on the tune split so that it is
    `target` in public.
    """
    if precision in (0.0, 1.0):
        return precision
    there = odds(precision) * odds(to) / odds(of)
    return there / (1 + there)


def estimated(probability: np.ndarray, prevalence: float, steps: int = 200) -> float | None:
    """The share of positives that the answers of calibrated teachers speak for.

    Maximum likelihood by EM (Saerens, Latinne, Decaestecker, Neural Computation 2002): right if the
    public set differs from the tune split in prevalence only, a hint otherwise.

    Args:
        probability: P(positive) [N], calibrated where positives are as common as `prevalence`.
        prevalence: of the set the calibration was fitted on.
        steps: of EM at most.

    Returns:
        None where there is nothing to judge by.
    """
    p = np.asarray(probability, np.float64)
    if not len(p) or not 0 < prevalence < 1:
        return None
    share = prevalence
    for _ in range(steps):
        for_, against = p * share / prevalence, (1 - p) * (1 - share) / (1 - prevalence)
        now = float(np.mean(for_ / (for_ + against)))
        if abs(now - share) < 1e-9 or now in (0.0, 1.0):
            return now
        share = now
    return share
