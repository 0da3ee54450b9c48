"""How differently a model looks at the classes: Jensen-Shannon divergence of mean maps, in bits.

    D(p, q) = (KL(p || m) + KL(q || m)) / 2,  m = (p + q) / 2,

with logarithms to base 2 (Lin, IEEE Trans Inf Theory 1991): 0 where two distributions are one, 1
bit where they share no place. (scipy's `jensenshannon` is its root, in nats.) A class's
distribution is the mean over its patients of their mean maps, each made to sum to one inside the
face first, so that everybody counts alike.

Of finitely many people the divergence is above zero even where there is nothing: `expected` says
how much labels at random give, and p how often they give as much. Resampling adds noise of its own
on top, so percentiles of resamples lie too high; the interval is the basic one, which turns them
around the estimate: [2 D - upper, 2 D - lower], cut at 0 and 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from data_sharding.schema import Strict
from eval.bootstrap import PatientDraws
from eval.estimate import Estimate, undefined
from eval.inputs import check_level, patient_codes

#: Fewer patients of a class than this cannot be resampled.
LEAST = 2


class Divergence(Strict):
    """Between two classes: `bits` with its interval, over `patients` of each.

    `expected` is the mean under labels at random, and `p` their share that is as far apart.
    """

    first: str
    second: str
    patients: tuple[int, int]
    bits: Estimate
    expected: float | None
    p: float | None


def jensen_shannon(p: ArrayLike, q: ArrayLike) -> NDArray[np.float64]:
    """In bits, over the last axis; both are made to sum to one.

    Raises:
        ValueError: something is negative, not finite, or nothing at all.
    """
    p, q = (_distribution(np.asarray(x, np.float64)) for x in (p, q))
    middle = (p + q) / 2
    return (_relative(p, middle) + _relative(q, middle)) / 2


def inside(maps: NDArray, mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Maps [n, H, W] as distributions over the places of a mask [H, W]: [n, places].

    A map without anything inside is NaN everywhere: it is a map of nothing.

    Raises:
        ValueError: as `jensen_shannon`; a mask of another size, or empty.
    """
    if mask.shape != maps.shape[1:] or not mask.any():
        raise ValueError(f"a mask of {mask.shape} for maps of {maps.shape[1:]}, or an empty one")
    held = maps[:, mask].astype(np.float64)
    if not np.isfinite(held).all() or (held < 0).any():
        raise ValueError("an attention map is negative somewhere, or not finite: it has no shares")
    total = held.sum(axis=1, keepdims=True)
    return np.divide(held, total, out=np.full_like(held, np.nan), where=total > 0)


def divergences(
    shares: NDArray[np.float64],
    classes: ArrayLike,
    patients: ArrayLike,
    names: Sequence[str],
    draws: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> tuple[Divergence, ...]:
    """Every pair of classes.

    Args:
        shares: distributions [n, places], as of `inside`; NaN rows are left out.
        classes: int [n], an index of `names`.
        patients: [n], who each is of. Their maps of a class are averaged first.
        names: of the classes.
        draws: resamples of patients, and permutations.
        seed: of both.
        confidence: of the interval.

    Raises:
        ValueError: lists of different lengths.
    """
    check_level(confidence)
    label = np.asarray(classes)
    code = patient_codes(patients, len(shares))
    if len(label) != len(shares):
        raise ValueError(f"{len(label)} classes for {len(shares)} maps")
    there = ~np.isnan(shares).any(axis=1)
    units = _units(shares[there], label[there], code[there])
    return tuple(
        _pair(units, (a, b), (names[a], names[b]), draws, seed, confidence)
        for a, b in combinations(range(len(names)), 2)
    )


Units = tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]


def _units(shares: NDArray[np.float64], label: NDArray, code: NDArray[np.int64]) -> Units:
    """Mean maps, classes and patients of everybody in each class they have."""
    pairs, which = np.unique(np.stack([label, code]), axis=1, return_inverse=True)
    means = np.zeros((pairs.shape[1], shares.shape[1]))
    np.add.at(means, which, shares)
    return means / np.bincount(which)[:, None], pairs[0], pairs[1]


def _pair(
    units: Units,
    pair: tuple[int, int],
    names: tuple[str, str],
    draws: int,
    seed: int,
    confidence: float,
) -> Divergence:
    here = np.isin(units[1], pair)
    maps, first, code = units[0][here], units[1][here] == pair[0], units[2][here]
    counted = int(first.sum()), int((~first).sum())

    def answer(bits: Estimate, expected: float | None, p: float | None) -> Divergence:
        return Divergence(first=names[0], second=names[1], patients=counted, bits=bits,
                          expected=expected, p=p)  # fmt: skip

    if min(counted) == 0:
        without = names[0] if counted[0] == 0 else names[1]
        return answer(undefined(f"nobody was called {without}"), None, None)
    value = float(jensen_shannon(maps[first].mean(axis=0), maps[~first].mean(axis=0)))
    if min(counted) < LEAST:
        why = "a class has too few patients to resample"
        return answer(Estimate(value=value, undefined=why), None, None)
    resampled = _resampled(maps, first, code, draws, seed)
    low, high = np.quantile(resampled, [(1 - confidence) / 2, (1 + confidence) / 2])
    method = f"basic bootstrap of patients, {draws} draws"
    bits = Estimate(
        value=value,
        low=max(0.0, 2 * value - float(high)),
        high=min(1.0, max(value, 2 * value - float(low))),
        method=method,
    )
    shuffled = _shuffled(maps, first, draws, seed)
    as_far = int((shuffled >= value * (1 - 1e-12)).sum())
    return answer(bits, float(shuffled.mean()), (1 + as_far) / (1 + draws))


def _resampled(
    maps: NDArray[np.float64], first: NDArray[np.bool_], code: NDArray, draws: int, seed: int
) -> NDArray[np.float64]:
    """The divergence of patients drawn with replacement, [draws]; each has all their maps."""
    _, column = np.unique(code, return_inverse=True)
    # A patient of both classes is a stratum of their own kind, so that no draw lacks a class.
    kinds = np.zeros(column.max() + 1, np.int64)
    np.bitwise_or.at(kinds, column, np.where(first, 1, 2))
    counts = PatientDraws.of(len(kinds), draws, seed, kinds).counts[:, column].astype(np.float64)
    means = [_weighted(counts[:, side], maps[side]) for side in (first, ~first)]
    return jensen_shannon(*means)


def _weighted(weights: NDArray[np.float64], maps: NDArray[np.float64]) -> NDArray[np.float64]:
    return weights @ maps / weights.sum(axis=1, keepdims=True)


def _shuffled(
    maps: NDArray[np.float64], first: NDArray[np.bool_], draws: int, seed: int
) -> NDArray[np.float64]:
    """The divergence of classes given out at random, [draws]."""
    rng = np.random.default_rng([seed, 1])
    given = rng.permuted(np.repeat(first[None], draws, axis=0), axis=1).astype(np.float64)
    return jensen_shannon(_weighted(given, maps), _weighted(1 - given, maps))


def _distribution(x: NDArray[np.float64]) -> NDArray[np.float64]:
    if not np.isfinite(x).all() or (x < 0).any():
        raise ValueError("a distribution is negative somewhere, or not finite")
    total = x.sum(axis=-1, keepdims=True)
    if (total <= 0).any():
        raise ValueError("a distribution is zero everywhere: it has no shares")
    return x / total


def _relative(p: NDArray[np.float64], m: NDArray[np.float64]) -> NDArray[np.float64]:
    """KL(p || m) in bits; where p is zero nothing is added."""
    ratio = np.divide(p, m, out=np.ones_like(p), where=p > 0)
    return (p * np.log2(ratio)).sum(axis=-1)
