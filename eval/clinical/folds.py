"""Folds of patients: all rows of a patient are in one fold, and classes are spread evenly.

Which fold a patient is in depends on the set of patients, their classes and the seed, not on the
order of the rows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eval.inputs import labels, patient_codes


def patient_folds(
    patient: ArrayLike, label: ArrayLike, folds: int = 5, seed: int = 0
) -> NDArray[np.int64]:
    """The fold 0 ... folds - 1 of each row [n].

    Patients with a positive row and patients without are dealt out separately, so that the folds
    differ by one patient of each kind at most.

    Args:
        patient: [n], who each row is of.
        label: 0 or 1, [n].
        folds: how many, at least 2.
        seed: same seed, same folds.

    Raises:
        ValueError: fewer than two folds, or fewer patients of a kind than folds.
    """
    y = labels(label)
    code = patient_codes(patient, y.size)
    if folds < 2:
        raise ValueError(f"{folds} folds: cross-fitting needs at least 2")
    found = by_kind(code, y)
    if min(k.size for k in found) < folds:
        raise ValueError(
            f"{folds} folds of {found[1].size} patients with and {found[0].size} without a "
            f"positive label: each fold needs one of both, so ask for fewer folds"
        )
    rng = np.random.default_rng(seed)
    fold = np.empty(int(code.max()) + 1, np.int64)
    start = 0
    for kind in found:
        # the second kind goes on where the first stopped: folds are of even size, too
        fold[rng.permutation(kind)] = (start + np.arange(kind.size)) % folds
        start += kind.size
    return fold[code]


def by_kind(code: NDArray[np.int64], y: NDArray[np.int64]) -> tuple[NDArray, NDArray]:
    """Patients without, and patients with a positive row, as codes in ascending order."""
    there, sick = np.bincount(code) > 0, np.bincount(code, weights=y) > 0
    return np.flatnonzero(there & ~sick), np.flatnonzero(sick)


def folds_that_fit(patient: ArrayLike, label: ArrayLike, wanted: int = 5) -> int:
    """At most `wanted` folds, fewer where a kind of patient is rare; below 2, none can be made."""
    y = labels(label)
    return min(wanted, *(k.size for k in by_kind(patient_codes(patient, y.size), y)))
