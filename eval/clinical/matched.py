"""AUROC among like and like: pairs of a positive and a negative of the same sex and nearly one age.

The share of matched pairs in which the positive has the higher score, ties counting half: what the
score tells beyond age and sex, without a model of either. Every matched pair counts once. Pairs are
counted in O(n log n): in order of age, with a tree of counts over the ranks of the score.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit
from scipy.stats import norm, rankdata

from data_sharding.compiled import compiled
from eval.clinical.confounding import Matched
from eval.estimate import Estimate, undefined
from eval.inputs import labels, lacking, patient_codes, scores

#: Ages are compared with this much room, so that 67.1 and 65.1 are two years apart.
ROOM = 1e-9


def matched_auc(
    y: ArrayLike,
    score: ArrayLike,
    age: ArrayLike,
    sex: ArrayLike,
    patients: ArrayLike | None = None,
    years: float = 2.0,
    level: float = 0.95,
) -> Matched:
    """AUROC over matched pairs; rows without age or sex are in no pair.

    The interval is normal on the logit scale. Its variance is that of a ratio of pair counts, by
    the pairs each patient is in, as a positive or as a negative.

    Args:
        y: 0 or 1, [n].
        score: finite float [n], higher for class 1.
        age: years, [n]; NaN where unknown.
        sex: [n]; levels as text, '' where unknown.
        patients: [n], who each row is of.
        years: the ages of a pair differ by this much at most.
        level: two-sided confidence level.
    """
    label = labels(y)
    values = scores(score, label.size)
    code = patient_codes(patients, label.size)
    old, kind = np.asarray(age, np.float64), np.asarray(sex, str)
    rank = rankdata(values, "dense").astype(np.int64)
    partners, won = np.zeros(label.size), np.zeros(label.size)
    for each in np.unique(kind):
        rows = np.flatnonzero((kind == each) & np.isfinite(old))
        if each == "" or rows.size == 0:
            continue
        sick, well = rows[label[rows] == 1], rows[label[rows] == 0]
        for own, others, sign in ((sick, well, 1), (well, sick, -1)):
            counted = _within(old[own], sign * rank[own], old[others], sign * rank[others], years)
            partners[own], won[own] = counted
    sick = label == 1
    pairs, better = float(partners[sick].sum()), float(won[sick].sum())
    facts = {
        "years": years,
        "pairs": int(pairs),
        "of_pairs": int(sick.sum()) * int((~sick).sum()),
        "positives": int((partners[sick] > 0).sum()),
        "negatives": int((partners[~sick] > 0).sum()),
    }
    if reason := lacking(label):
        return Matched(**facts, auroc=undefined(reason))
    if not pairs:
        why = f"no positive and negative of the same sex within {years:g} years of age"
        return Matched(**facts, auroc=undefined(why))
    auc = better / pairs
    influence = np.bincount(code, weights=won - auc * partners) / pairs
    return Matched(**facts, auroc=_estimate(auc, influence, facts, level))


def _estimate(
    auc: float, influence: NDArray[np.float64], facts: dict[str, float], level: float
) -> Estimate:
    fewest = min(facts["positives"], facts["negatives"])
    if fewest < 2 or not 0 < auc < 1:
        why = "too few matched to say how far it varies" if fewest < 2 else "every pair agrees"
        return Estimate(value=auc, undefined=why)
    error = math.sqrt(float(influence @ influence) * fewest / (fewest - 1))
    half = float(norm.ppf(0.5 + level / 2)) * error / (auc * (1 - auc))
    low, high = (float(expit(logit(auc) + s * half)) for s in (-1, 1))
    method = "matched pairs, summed within patients, on the logit scale"
    return Estimate(value=auc, low=low, high=high, method=method)


def _within(
    age: NDArray[np.float64],
    rank: NDArray[np.int64],
    of_age: NDArray[np.float64],
    of_rank: NDArray[np.int64],
    years: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """For each row: others of nearly its age, and how many of these rank below it (ties half)."""
    order = np.argsort(of_age, kind="stable")
    ages = of_age[order]
    start = np.searchsorted(ages, age - years - ROOM, "left")
    stop = np.searchsorted(ages, age + years + ROOM, "right")
    # ranks from 1, dense over both sides
    dense = np.unique(np.concatenate([rank, of_rank]), return_inverse=True)[1].astype(np.int64) + 1
    mine, theirs = dense[: rank.size], dense[rank.size :][order]
    size = int(dense.max(initial=1))
    below = _prefix(theirs, stop, mine, size) - _prefix(theirs, start, mine, size)
    return (stop - start).astype(np.float64), below


def _prefix(
    ranks: NDArray[np.int64], first: NDArray[np.int64], mine: NDArray[np.int64], size: int
) -> NDArray[np.float64]:
    """Among the first `first[i]` ranks: how many are below `mine[i]`, ties counting half: [n]."""
    return _count(ranks, first, np.argsort(first, kind="stable"), mine, size)


@compiled
def _count(
    ranks: NDArray[np.int64],
    first: NDArray[np.int64],
    order: NDArray[np.int64],
    mine: NDArray[np.int64],
    size: int,
) -> NDArray[np.float64]:
    """`_prefix` with a Fenwick tree over ranks 1 ... size, queries in ascending `first`."""
    tree = np.zeros(size + 1, np.int64)
    out = np.zeros(first.size, np.float64)
    filled = 0
    for q in order:
        while filled < first[q]:
            at = ranks[filled]
            while at <= size:
                tree[at] += 1
                at += at & -at
            filled += 1
        twice = 0
        for upto in (mine[q], mine[q] - 1):
            at = upto
            while at > 0:
                twice += tree[at]
                at -= at & -at
        out[q] = twice / 2.0
    return out
