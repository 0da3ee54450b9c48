"""Cross-validation: which of N parts each row of a split is in, and every patient in one part only.

    fold_of(["ann", "ann", "bob", "eve", "dan"], [1, 1, 0, 1, 0], 2)    # [1 1 1 0 0]

Patients of a class are put in hashed order and dealt out like cards, class after class, so the
number of patients of a class differs by one at most between parts, and so does that of all. The
order of rows does not matter, and neither does the machine.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from data_sharding.splits import rank_hash


def fold_of(
    patients: Sequence[str], labels: Sequence[int] | np.ndarray, n: int, seed: int = 0
) -> np.ndarray:
    """The part of each row.

    Args:
        patients: [N] whose it is.
        labels: [N] its class, 0, 1, ...; below 0 where it is not known. A patient with several is
            of the highest.
        n: parts, at least 2.
        seed: another seed deals other cards.

    Returns:
        int64 [N], 0 <= part < n.

    Raises:
        ValueError: fewer than two parts, or more than there are patients of a class, so that some
            part would lack it.
    """
    if n < 2:
        raise ValueError(f"{n} folds: at least 2")
    label = np.asarray(labels, np.int64)
    if label.shape != (len(patients),):
        raise ValueError(f"labels of shape {label.shape} beside {len(patients)} patients")
    names, row_to_patient = np.unique(np.asarray(patients, str), return_inverse=True)
    of_patient = np.full(len(names), np.iinfo(np.int64).min)
    np.maximum.at(of_patient, row_to_patient, label)
    of_patient = of_patient.clip(min=-1)
    classes, counts = np.unique(of_patient, return_counts=True)
    for value, count in zip(classes, counts, strict=True):
        if value >= 0 and count < n:
            raise ValueError(
                f"{n} folds, but {count} patient(s) of class {value} to deal out: at most {count}"
            )
    hashes = [rank_hash(seed, "deal", name) for name in names.tolist()]
    dealt = sorted(range(len(names)), key=lambda i: (of_patient[i], hashes[i]))
    part = np.empty(len(names), np.int64)
    part[dealt] = np.arange(len(names)) % n
    return part[row_to_patient]
