"""Are they there again? Concepts of other random starts and other people, matched with the first.

NMF finds one of many factorisations. Of each other one, concepts are matched one to one with the
first's (cosine of their channels, summed over pairs, as large as it can be). A concept is found
again where its match is at least `NEAR` and nearer than any other concept of its own bank, and
is called stable where that holds of `OFTEN` of the factorisations. Both are conventions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from eval.craft.concepts import factorise

NEAR, OFTEN = 0.9, 0.8


@dataclass(frozen=True)
class Stability:
    """Of each concept [r]: how often found again, and the median cosine with its match.

    `restarts` are of the same crops, `people` of patients drawn with replacement; shares of 1.
    """

    restarts: NDArray[np.float64]
    people: NDArray[np.float64]
    cosine: NDArray[np.float64]

    @property
    def stable(self) -> NDArray[np.bool_]:
        """bool [r]."""
        return (self.restarts >= OFTEN) & (self.people >= OFTEN)


def stability(
    rows: NDArray[np.float64],
    concepts: NDArray[np.float64],
    patients: NDArray[np.int64],
    repeats: int,
    seed: int,
) -> Stability:
    """Factorise again, `repeats` times from random starts and as often of other people.

    Args:
        rows: the crops' activations [n, p].
        concepts: W [r, p] of them.
        patients: int [n], who each crop is of.
        repeats: at least 1.
        seed: of starts and draws.
    """
    starts = [matched(concepts, factorise(rows, len(concepts), seed + 1 + k).concepts)
              for k in range(repeats)]  # fmt: skip
    drawn = [matched(concepts, factorise(some, len(concepts)).concepts)
             for some in _resampled(rows, patients, repeats, seed)]  # fmt: skip
    own = concepts @ concepts.T
    np.fill_diagonal(own, -1.0)
    least = np.maximum(NEAR, own.max(axis=1, initial=-1.0))
    return Stability(
        (np.array(starts) >= least).mean(axis=0),
        (np.array(drawn) >= least).mean(axis=0),
        np.median(starts + drawn, axis=0),
    )


def matched(concepts: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """The cosine of each concept with its match, [r]; 0 where the others are too few.

    Args:
        concepts: [r, p] of length one.
        others: [s, p] of length one.
    """
    cosine = concepts @ others.T
    mine, theirs = linear_sum_assignment(cosine, maximize=True)
    found = np.zeros(len(concepts))
    found[mine] = cosine[mine, theirs]
    return found


def _resampled(
    rows: NDArray[np.float64], patients: NDArray[np.int64], repeats: int, seed: int
) -> Iterator[NDArray[np.float64]]:
    rng = np.random.default_rng([seed, 2])
    people = np.unique(patients)
    of = {p: np.flatnonzero(patients == p) for p in people}
    for _ in range(repeats):
        yield rows[np.concatenate([of[p] for p in rng.choice(people, people.size)])]
