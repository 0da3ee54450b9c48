"""Comparable pairs of patients, counted in O(n log n) with two running Fenwick trees.

Going back in time, each fracture asks the tree of those followed for longer how many have lower
and equal scores. Going forward, each patient asks the tree of earlier fractures. A test counts all
pairs one by one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from data_sharding.compiled import compiled


@compiled
def _below(tree: Any, rank: Any) -> Any:
    """Sum of the entries of a Fenwick tree at ranks below `rank`."""
    total = 0.0
    while rank > 0:
        total += tree[rank]
        rank -= rank & -rank
    return total


@compiled
def _add(tree: Any, rank: Any, value: Any) -> None:
    """Add to the entry at `rank`."""
    rank += 1
    while rank < tree.size:
        tree[rank] += value
        rank += rank & -rank


@compiled
def pairs(time: Any, event: Any, score: Any, weight: Any) -> Any:
    """Weighted pairs of each patient by their scores: in order, in reverse, tied.

    `own` counts those in which the patient is the one seen to break, `both` also those in which
    it is the one who breaks later or not at all. A pair weighs what its first fracture does.

    Args:
        time: int [n], ranks in ascending order, events before the censored of a time.
        event: bool [n].
        score: int [n], ranks from 0.
        weight: float [n], of the pairs in which this patient is the first to break.

    Returns:
        own, both: float [n, 3].
    """
    n = time.size
    own, both = np.zeros((n, 3)), np.zeros((n, 3))
    top = score.max() + 1
    later = np.zeros(top + 1)  # how many followed beyond, by score
    count = 0.0
    i = n - 1
    while i >= 0:
        first = i
        while first >= 0 and time[first] == time[i]:
            first -= 1
        # rows of this time: (first, i]; the censored outlast the fractures
        for j in range(i, first, -1):
            if not event[j]:
                _add(later, score[j], 1.0)
                count += 1
        for j in range(i, first, -1):
            if event[j] and weight[j] > 0:
                lower = _below(later, score[j])
                equal = _below(later, score[j] + 1) - lower
                own[j, 0] = weight[j] * lower
                own[j, 1] = weight[j] * (count - lower - equal)
                own[j, 2] = weight[j] * equal
        for j in range(i, first, -1):
            if event[j]:
                _add(later, score[j], 1.0)
                count += 1
        i = first
    both[:] = own
    earlier = np.zeros(top + 1)  # weight of fractures before, by score
    total = 0.0
    i = 0
    while i < n:
        last = i
        while last < n and time[last] == time[i]:
            last += 1
        for role in range(2):  # fractures meet those before them, the censored also those at once
            for j in range(i, last):
                if event[j] == (role == 0):
                    lower = _below(earlier, score[j])
                    equal = _below(earlier, score[j] + 1) - lower
                    both[j, 0] += total - lower - equal
                    both[j, 1] += lower
                    both[j, 2] += equal
            if role == 0:
                for j in range(i, last):
                    if event[j] and weight[j] > 0:
                        _add(earlier, score[j], weight[j])
                        total += weight[j]
        i = last
    return own, both
