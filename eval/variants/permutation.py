"""Are two models equally good on the same people? Swap their answers person by person.

If two models are alike, it makes no difference which of them said what of somebody. So for each
patient a coin decides whether all that the two said of them changes hands, and p is how often the
statistic then differs as much as it did (Good, Permutation Tests, 2000, ch. 3). Patients are
swapped whole: their pictures are not independent.

Probabilities of two models may be on other scales, and what is swapped must be comparable: AUROC is
taken of each model's ranks (Venkatraman & Begg, Biometrika 1996).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from eval.classes.statistics import K, marked, of_totals
from eval.classes.systems import Answers

#: Differences nearer than this are equal but for rounding.
NEAR = 1e-9
#: Who is swapped, bool [draws, patients] -> the difference b - a [draws].
Gap = Callable[[NDArray[np.bool_]], NDArray[np.float64]]
#: Swaps at once.
CHUNK = 100


def permutation_p(
    truth: NDArray[np.int64],
    patient: NDArray[np.int64],
    a: Answers,
    b: Answers,
    statistic: str,
    swaps: int = 2000,
    seed: int = 0,
) -> float:
    """Two-sided p that `statistic` of `a` and of `b` differ by chance.

    Args:
        truth: class [n].
        patient: 0, 1, ... [n].
        a, b: what two models say of the rows.
        statistic: "auroc_ovr", or one of `statistics.of_totals`.
        swaps: coins thrown; p is at least 1 / (swaps + 1).
        seed: of the coins.

    Returns:
        p; NaN where the statistic does not exist of the rows as they are.
    """
    if statistic == "auroc_ovr":
        gap = _auroc(truth, patient, a, b)
    else:
        gap = _sums(truth, patient, a, b, statistic)
    people = int(patient.max()) + 1 if patient.size else 0
    found = abs(float(gap(np.zeros((1, people), bool))[0]))
    if np.isnan(found):
        return float("nan")
    rng, beyond = np.random.default_rng(seed), 0
    for start in range(0, swaps, CHUNK):
        coins = rng.random((min(CHUNK, swaps - start), people)) < 0.5
        drawn = np.abs(gap(coins))
        # one that does not exist may have been as large
        beyond += int((np.isnan(drawn) | (drawn >= found - NEAR)).sum())
    return (beyond + 1) / (swaps + 1)


def _sums(truth: NDArray, patient: NDArray, a: Answers, b: Answers, statistic: str) -> Gap:
    """The difference under swaps [draws, patients], of a statistic of counts."""
    people = int(patient.max()) + 1 if patient.size else 0
    of = []
    for said in (a, b):
        rows = marked(truth, said.P, said.said)
        total = np.zeros((people, rows.shape[1]))
        np.add.at(total, patient, rows)
        of.append(total)
    first, second = of

    def gap(coins: NDArray[np.bool_]) -> NDArray[np.float64]:
        moved = coins @ (second - first)
        here = of_totals(first.sum(axis=0) + moved)[statistic]
        there = of_totals(second.sum(axis=0) - moved)[statistic]
        return there - here

    return gap


def _auroc(truth: NDArray, patient: NDArray, a: Answers, b: Answers) -> Gap:
    """The difference of the mean AUROC under swaps [draws, patients] of ranks."""
    ranks = [(rankdata(a.P[:, c]), rankdata(b.P[:, c])) for c in range(K)]

    def gap(coins: NDArray[np.bool_]) -> NDArray[np.float64]:
        rows = coins[:, patient]
        each = [
            _areas(np.where(rows, x, y), truth == c) - _areas(np.where(rows, y, x), truth == c)
            for c, (x, y) in enumerate(ranks)
        ]
        return np.mean(each, axis=0)

    return gap


def _areas(score: NDArray[np.float64], positive: NDArray[np.bool_]) -> NDArray[np.float64]:
    """AUROC of each row of scores [draws, n], by Mann & Whitney's ranks."""
    m, n = int(positive.sum()), int((~positive).sum())
    if not m or not n:
        return np.full(len(score), np.nan)
    place = rankdata(score, axis=1)[:, positive].sum(axis=1)
    return (place - m * (m + 1) / 2) / (m * n)
