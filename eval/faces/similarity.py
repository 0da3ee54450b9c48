"""How alike are explanations within a class, and how unlike between classes? (Face2Bone, Table 7)

    found = similarity(vectors, labels, people)

The paper names no measure; SD above the mean and values that may be negative point to a signed one.
Decided here: the cosine between two patients' vectors of the five regions' values, so that it says
which regions count and in which direction, not how much. Patients are the units, not pictures:
somebody's photographs are averaged first. Pairs share patients, so that the paper's two-sample
t-test has no right to its p; labels are permuted instead (one-sided, (1 + as large) / (1 + draws)).

A trap: where every patient is explained for the own class, patients of two classes differ in what
was explained before they differ in anything else, and a network that has learnt nothing can show
"discrimination". A permutation here gives each patient the vector of the class that was dealt, so
that the null knows it too. The same for one class, explained of everybody, has no such trap.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from data_sharding.schema import Strict
from eval.bootstrap import PatientDraws
from eval.estimate import Estimate, undefined

PERMUTATIONS = 2000
DRAWS = 1000
#: A class of fewer patients has no pair that could be told from another.
FEWEST = 2


class Alike(Strict):
    """Pairs of one class with each other (`second` is the same), or of two with one another.

    - mean: over pairs, with an interval that resamples patients; sd: over pairs.
    - p: how often dealt labels give as large a mean (within), or as small a one (between).
    """

    first: int
    second: int
    pairs: int
    mean: Estimate
    sd: float | None
    p: float | None


class Similarity(Strict):
    """`patients` with a vector; `left_out` have none with a direction, or are of a lone class.

    - within, between: by class, and by pair of classes.
    - discrimination: mean over pairs of one class minus mean over pairs of two.
    - silhouette: mean over patients, with 1 - cosine as the distance (Rousseeuw 1987).
    """

    patients: int
    left_out: int
    permutations: int
    within: tuple[Alike, ...]
    between: tuple[Alike, ...]
    discrimination: Estimate
    p_discrimination: float | None
    silhouette: float | None
    p_silhouette: float | None


@dataclass(frozen=True)
class _Told:
    """What a labelling says: mean cosines by pair of classes [K, K], and discrimination."""

    means: NDArray[np.float64]
    discrimination: float


def by_patient(values: ArrayLike, people: ArrayLike) -> tuple[NDArray[np.float64], NDArray]:
    """Means over each patient's pictures [P, ...] of values [n, ...], and the patients, sorted."""
    found = np.asarray(values, np.float64)
    who, code = np.unique(np.asarray(people), return_inverse=True)
    if len(found) != len(code):
        raise ValueError(f"{len(found)} pictures of {len(code)} patients named: one for each")
    total = np.zeros((len(who), *found.shape[1:]))
    np.add.at(total, code, found)
    counts = np.bincount(code, minlength=len(who)).reshape(-1, *[1] * (found.ndim - 1))
    return total / counts, who


def similarity(
    vectors: ArrayLike,
    labels: ArrayLike,
    people: ArrayLike,
    *,
    permutations: int = PERMUTATIONS,
    draws: int = DRAWS,
    seed: int = 0,
) -> Similarity:
    """Compare patients' explanations within and between classes.

    Args:
        vectors: [n, K, R], of each picture the R regions' values for each of K classes; a patient's
            own class is compared. Or [n, R], where all were explained for one class.
        labels: int [n], the class; one for all pictures of a patient.
        people: [n].
        permutations: of labels between patients.
        draws: of patients, for intervals.
        seed: of both.

    Raises:
        ValueError: shapes that do not fit, values that are not finite, a patient of two classes.
    """
    v, y = _checked(vectors, labels, people)
    everyone = len(y)
    usable = (np.linalg.norm(v, axis=2) > 0).all(axis=1)
    v, y = v[usable], y[usable]
    names, y, v = _told_apart(v, y)
    n, k = len(y), len(names)
    if k < 2:
        why = "fewer than two classes have two patients whose explanation has a direction"
        return Similarity(
            patients=n, left_out=everyone - n, permutations=0, within=(), between=(),
            discrimination=undefined(why), p_discrimination=None, silhouette=None,
            p_silhouette=None,
        )  # fmt: skip
    unit = v / np.linalg.norm(v, axis=2, keepdims=True)
    own, of = _own(unit, y), np.eye(k)[y]
    told, silhouette = _told(own, of), _silhouette(own, y, k)
    rng = np.random.default_rng(seed)
    dealt: list[tuple[_Told, float]] = []
    for _ in range(permutations):
        other = rng.permutation(y)
        theirs = _own(unit, other)
        dealt.append((_told(theirs, np.eye(k)[other]), _silhouette(theirs, other, k)))
    null = np.array([d.means for d, _ in dealt]).reshape(-1, k, k)
    # each class keeps its size
    counts = PatientDraws.of(n, draws, seed, strata=y).counts
    drawn = [_told(own, of * row[:, None]) for row in counts]
    means = np.array([d.means for d in drawn])

    def alike(a: int, b: int) -> Alike:
        pairs = (own[y == a] @ own[y == b].T).clip(-1, 1)
        pairs = pairs[np.triu_indices(len(pairs), 1)] if a == b else pairs.ravel()
        sign = 1 if a == b else -1
        return Alike(
            first=names[a],
            second=names[b],
            pairs=pairs.size,
            mean=_interval(told.means[a, b], means[:, a, b]),
            sd=float(pairs.std(ddof=1)) if pairs.size > 1 else None,
            p=_p(sign * null[:, a, b], sign * told.means[a, b]),
        )

    return Similarity(
        patients=n,
        left_out=everyone - n,
        permutations=permutations,
        within=tuple(alike(c, c) for c in range(k)),
        between=tuple(alike(a, b) for a, b in combinations(range(k), 2)),
        discrimination=_interval(told.discrimination, np.array([d.discrimination for d in drawn])),
        p_discrimination=_p([d.discrimination for d, _ in dealt], told.discrimination),
        silhouette=silhouette,
        p_silhouette=_p([s for _, s in dealt], silhouette),
    )


def _checked(
    vectors: ArrayLike, labels: ArrayLike, people: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Of patients: vectors [P, K, R], labels [P]."""
    values, of = np.asarray(vectors, np.float64), np.asarray(labels)
    if values.ndim not in (2, 3) or of.shape != (len(values),) or of.dtype.kind not in "iu":
        raise ValueError("vectors are [n, K, R] or [n, R], labels whole numbers [n]")
    if not np.isfinite(values).all():
        raise ValueError("a vector holds values that are not finite")
    if values.ndim == 2:
        values = np.repeat(values[:, None], int(of.max(initial=0)) + 1, axis=1)
    if of.size and (of.min() < 0 or of.max() >= values.shape[1]):
        raise ValueError(f"labels go from 0 to {values.shape[1] - 1}, as the vectors do")
    mean, who = by_patient(values, people)
    label, code = (
        np.zeros(len(who), np.int64),
        np.unique(np.asarray(people), return_inverse=True)[1],
    )
    label[code] = of
    if (label[code] != of).any():
        raise ValueError(f"patient {who[code[label[code] != of][0]]} is of two classes")
    return mean, label


def _told_apart(
    v: NDArray[np.float64], y: NDArray[np.int64]
) -> tuple[list[int], NDArray[np.int64], NDArray[np.float64]]:
    """Classes of enough patients, labels counted among them, and their vectors for them."""
    names = [int(c) for c in np.unique(y) if (y == c).sum() >= FEWEST]
    kept = np.isin(y, names)
    return names, np.searchsorted(names, y[kept]), v[kept][:, names]


def _own(unit: NDArray[np.float64], y: NDArray[np.int64]) -> NDArray[np.float64]:
    """[P, R], each patient's vector of the class given."""
    return unit[np.arange(len(y)), y]


def _told(own: NDArray[np.float64], weights: NDArray[np.float64]) -> _Told:
    """Means over pairs, without pairs of a patient with themselves.

    Cosines are never laid out: those of all pairs of two classes add up to the product of the
    classes' sums of vectors.

    Args:
        own: unit vectors [P, R].
        weights: [P, K], how often each patient counts in each class.
    """
    sums = weights.T @ own  # [K, R]
    size = weights.sum(axis=0)
    alone = np.diag((weights**2).sum(axis=0))  # with oneself: the cosine is 1
    total, pairs = sums @ sums.T - alone, np.outer(size, size) - alone
    same = np.eye(len(size), dtype=bool)
    with np.errstate(invalid="ignore", divide="ignore"):
        apart = total[same].sum() / pairs[same].sum() - total[~same].sum() / pairs[~same].sum()
        return _Told(total / pairs, float(apart))


def _silhouette(own: NDArray[np.float64], y: NDArray[np.int64], k: int) -> float:
    of = np.eye(k)[y]
    size, to_class = of.sum(axis=0), own @ (of.T @ own).T  # [P, K], sums of cosines
    rows = np.arange(len(y))
    a = 1 - (to_class[rows, y] - 1) / (size[y] - 1)
    away = 1 - to_class / size
    away[rows, y] = np.inf
    b = away.min(axis=1)
    most = np.maximum(a, b)
    return float(np.where(most > 1e-12, (b - a) / np.maximum(most, 1e-12), 0.0).mean())


def _interval(value: float, drawn: NDArray[np.float64]) -> Estimate:
    known = drawn[np.isfinite(drawn)]
    if known.size < 2 or np.ptp(known) < 1e-12:
        return Estimate(value=float(value), undefined="every resample gives the same value")
    low, high = np.quantile(known, [0.025, 0.975])
    method = f"bootstrap of patients within classes, {known.size} draws"
    return Estimate(value=float(value), low=float(low), high=float(high), method=method)


def _p(dealt: ArrayLike, own: float) -> float | None:
    """How often dealt labels give as much."""
    null = np.asarray(dealt, np.float64)
    return float((1 + (null >= own - 1e-12).sum()) / (1 + null.size)) if null.size else None
