"""Resampling patients: one set of draws per cohort, shared by all models, statistics, subgroups.

Rows of one patient rise and fall together, so patients are drawn, not rows. Sharing the draws makes
differences between models paired and makes forty subgroups cost little more than one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eval.estimate import Estimate
from eval.kernels import any_of, tally

#: Draws multiplied at once: few enough to stay in the cache.
CHUNK = 50

NOT_RESAMPLED = "a class has too few patients to resample"
#: How often draws that lack a class are drawn again before we say that they cannot be had.
ROUNDS = 100


@dataclass(frozen=True)
class PatientDraws:
    """`counts` int16 [draws, patients]: how often each draw holds each patient."""

    counts: NDArray[np.int16]
    seed: int

    strata: NDArray[np.int64] | None = None

    @classmethod
    def of(
        cls,
        patients: int,
        draws: int = 1000,
        seed: int = 0,
        strata: NDArray[np.int64] | None = None,
    ) -> PatientDraws:
        """Draw `patients` patients with replacement, `draws` times.

        Args:
            patients: how many there are.
            draws: how many samples of that size to draw.
            seed: same seed, same draws.
            strata: int [patients]; each stratum keeps its number of patients in every draw.
        """
        return cls(_draw(np.random.default_rng(seed), patients, draws, strata), seed, strata)

    def both_classes(
        self, positives: NDArray[np.int64], negatives: NDArray[np.int64]
    ) -> tuple[NDArray[np.int16], int] | None:
        """Draws that all hold both classes, and how many had to be drawn again.

        Args:
            positives: columns of the patients with a positive row.
            negatives: columns of the patients with a negative row.

        Returns:
            counts [draws, patients] and the number redrawn; None if a class has fewer than two
            patients, whose variation nobody has seen, or `ROUNDS` were not enough.
        """
        classes = (np.unique(positives), np.unique(negatives))
        if min(c.size for c in classes) < 2:
            return None
        found = self.until(lambda c: np.where(_holds(c, classes), 0.0, np.nan))
        return None if found is None else (found[0], found[2])

    def until(
        self, evaluate: Callable[[NDArray[np.int16]], NDArray[np.float64]]
    ) -> tuple[NDArray[np.int16], NDArray[np.float64], int] | None:
        """Draw again what `evaluate` finds undefined, until nothing is.

        Args:
            evaluate: counts [draws, patients] -> values [draws], NaN where undefined.

        Returns:
            counts [draws, patients], values [draws], how many were drawn again; None if `ROUNDS`
            were not enough.
        """
        values = evaluate(self.counts)
        bad = np.flatnonzero(np.isnan(values))
        counts, redrawn = self.counts.copy() if bad.size else self.counts, 0
        rng = np.random.default_rng([self.seed, 1])
        for _ in range(ROUNDS):
            if not bad.size:
                return counts, values, redrawn
            counts[bad] = _draw(rng, counts.shape[1], bad.size, self.strata)
            redrawn += bad.size
            values[bad] = evaluate(counts[bad])
            bad = bad[np.isnan(values[bad])]
        return None if bad.size else (counts, values, redrawn)


def _draw(
    rng: np.random.Generator, patients: int, draws: int, strata: NDArray[np.int64] | None
) -> NDArray[np.int16]:
    if strata is not None:
        counts = np.zeros((draws, patients), dtype=np.int16)
        for stratum in np.unique(strata):
            members = np.flatnonzero(strata == stratum)
            counts[:, members] = _draw(rng, members.size, draws, None)
        return counts
    counts = np.zeros((draws, patients), dtype=np.int16)
    for i in range(0, draws, CHUNK):
        part = counts[i : i + CHUNK]
        tally(rng.integers(patients, size=part.shape, dtype=np.int32), part)
    return counts


def _holds(counts: NDArray[np.int16], classes: tuple[NDArray[np.int64], ...]) -> NDArray[np.bool_]:
    """Which draws hold a patient of every class: bool [draws]."""
    return np.logical_and.reduce([any_of(counts, c) for c in classes])


def of_sums(
    counts: NDArray[np.int16],
    column: NDArray[np.int64],
    values: NDArray[np.float64],
    statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]],
) -> NDArray[np.float64]:
    """A statistic of weighted sums under every draw: [draws].

    Args:
        counts: int [draws, patients].
        column: int [n], the patient of each row.
        values: float [n, k], what to sum.
        statistic: sums [draws, k] -> [draws].
    """
    by_patient = np.zeros((counts.shape[1], values.shape[1]))
    np.add.at(by_patient, column, values)
    parts = [counts[i : i + CHUNK] @ by_patient for i in range(0, len(counts), CHUNK)]
    with np.errstate(divide="ignore", invalid="ignore"):
        return statistic(np.concatenate(parts))


def percentile(
    value: float, draws: NDArray[np.float64], redrawn: int = 0, confidence: float = 0.95
) -> Estimate:
    """Percentile interval (type 7 quantiles) around `value`.

    Where every draw gives the same value, as for a perfect ranking, the bootstrap cannot see how
    uncertain it is, and an interval of no width would be a lie: there is none then.
    """
    if np.nanmax(draws) - np.nanmin(draws) < 1e-12:
        return Estimate(value=value, undefined="every resample gives the same value")
    tail = (1 - confidence) / 2
    low, high = np.nanquantile(draws, [tail, 1 - tail])
    method = f"bootstrap of patients, {draws.size} draws"
    method += f", {redrawn} redrawn for lack of a class" if redrawn else ""
    return Estimate(value=value, low=float(low), high=float(high), method=method)
