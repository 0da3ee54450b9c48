"""Loops over sorted scores, compiled: counts that numpy could only make by many passes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from data_sharding.compiled import compiled


@compiled
def placements(
    order: NDArray[np.int64], score: NDArray[np.float64], sick: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """For each row, the rows of the other class that it is on the right side of; ties count half.

    Args:
        order: int [n], rows by ascending score.
        score: float [n].
        sick: bool [n], rows of class 1.

    Returns:
        float [n]: for a positive the negatives below it, for a negative the positives above it.
    """
    n = order.size
    out = np.empty(n, np.float64)
    positives = 0
    for i in range(n):
        positives += sick[i]
    below_sick = below_well = 0
    start = 0
    while start < n:
        value = score[order[start]]
        stop, tied_sick = start, 0
        while stop < n and score[order[stop]] == value:
            tied_sick += sick[order[stop]]
            stop += 1
        tied_well = stop - start - tied_sick
        for i in range(start, stop):
            row = order[i]
            if sick[row]:
                out[row] = below_well + 0.5 * tied_well
            else:
                out[row] = positives - below_sick - 0.5 * tied_sick
        below_sick += tied_sick
        below_well += tied_well
        start = stop
    return out


@compiled
def weighted_ranking(
    counts: NDArray[np.int16],
    column: NDArray[np.int64],
    sick: NDArray[np.bool_],
    last: NDArray[np.bool_],
    with_precision: bool,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """AUROC and average precision of one ranking under many whole-number weights.

    One pass a draw, in integers but for the last division. Average precision is the step sum: at
    each distinct score, highest first, the share of positives there times the precision so far.

    Args:
        counts: int [draws, patients], how often each draw holds each patient.
        column: int [n], the patient of each row, rows by descending score.
        sick: bool [n], rows of class 1, in that order.
        last: bool [n], whether a row is the last of its score, in that order.
        with_precision: compute average precision too; NaN otherwise.

    Returns:
        float [draws] twice; NaN where a draw lacks a class.
    """
    draws, n = counts.shape[0], column.size
    auroc = np.full(draws, np.nan)
    precision = np.full(draws, np.nan)
    for d in range(draws):
        weights = counts[d]
        true = false = twice = 0
        tied_true = tied_false = 0
        steps = 0.0
        for i in range(n):
            w = np.int64(weights[column[i]])
            here = np.int64(sick[i])
            tied_true += w * here
            tied_false += w * (1 - here)
            if last[i]:
                twice += tied_false * (2 * true + tied_true)
                true += tied_true
                false += tied_false
                if with_precision and tied_true > 0:
                    steps += tied_true * (true / (true + false))
                tied_true = tied_false = 0
        if true > 0 and false > 0:
            auroc[d] = twice / (2.0 * true * false)
            if with_precision:
                precision[d] = steps / true
    return auroc, precision


@compiled
def any_of(counts: NDArray[np.int16], columns: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which rows of `counts` [draws, patients] hold any of the `columns`: bool [draws]."""
    out = np.zeros(counts.shape[0], np.bool_)
    for d in range(counts.shape[0]):
        for i in range(columns.size):
            if counts[d, columns[i]] > 0:
                out[d] = True
                break
    return out


@compiled
def tally(drawn: NDArray[np.int32], counts: NDArray[np.int16]) -> None:
    """Add to `counts` [draws, patients] how often each row of `drawn` [draws, any] names each."""
    for d in range(drawn.shape[0]):
        for i in range(drawn.shape[1]):
            counts[d, drawn[d, i]] += 1


@compiled
def local_quadratics(
    x: NDArray[np.float64],
    mean: NDArray[np.float64],
    count: NDArray[np.int64],
    chosen: NDArray[np.int64],
    rows: int,
) -> NDArray[np.float64]:
    """A quadratic around each chosen x, tricube weights over the nearest rows, at that x.

    Args:
        x: distinct and ascending, [m].
        mean: of the outcome at each, [m].
        count: rows at each, [m].
        chosen: positions in x, [k].
        rows: how many of the nearest rows the weights reach.

    Returns:
        float [k]; NaN where fewer than three x have weight, or normal equations would lose digits.
    """
    out = np.full(chosen.size, np.nan)
    for k in range(chosen.size):
        at = x[chosen[k]]
        low, high = chosen[k], chosen[k] + 1
        held, reach = count[chosen[k]], 0.0
        while held < rows and (low > 0 or high < x.size):
            if high == x.size or (low > 0 and at - x[low - 1] <= x[high] - at):
                low -= 1
                held += count[low]
                reach = at - x[low]
            else:
                reach = x[high] - at
                held += count[high]
                high += 1
        # sums of weight times z to the power of 0 ... 4, and times the outcome
        s0 = s1 = s2 = s3 = s4 = t0 = t1 = t2 = 0.0
        near = 0
        for i in range(low, high):
            if abs(x[i] - at) >= reach:
                continue
            near += 1
            z = (x[i] - at) / reach
            w = count[i] * (1 - abs(z) ** 3) ** 3
            s0 += w
            s1 += w * z
            s2 += w * z * z
            s3 += w * z * z * z
            s4 += w * z * z * z * z
            t0 += w * mean[i]
            t1 += w * z * mean[i]
            t2 += w * z * z * mean[i]
        whole = s0 * (s2 * s4 - s3 * s3) - s1 * (s1 * s4 - s2 * s3) + s2 * (s1 * s3 - s2 * s2)
        if near >= 3 and whole > 1e-7 * s0 * s2 * s4:
            first = t0 * (s2 * s4 - s3 * s3) - s1 * (t1 * s4 - s3 * t2) + s2 * (t1 * s3 - s2 * t2)
            out[k] = first / whole
    return out
