"""Cross-validation: which of N parts each row of a split is in, and every patient in one part only.

    fold_of(["ann", "ann", "bob", "eve", "dan"], [1, 1, 0, 1, 0], 2)    # [1 1 1 0 0]

Patients of a class are put in hashed order and dealt out like cards, class after class, so the
number of patients of a class differs by one at most between parts, and so does that of all. Those
with pictures of two classes are dealt between the two, and count for both. The order of rows does
not matter, and neither does the machine.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from data_sharding.splits import rank_hash


def fold_of(
    patients: Sequence[str], labels: Sequence[int] | np.ndarray, n: int, seed: int = 0
) -> np.ndarray:
    """The part of each row.

    Args:
        patients: [N] whose it is.
        labels: [N] its class, 0, 1, ...; below 0 where it is not known.
        n: parts, at least 2.
        seed: another seed deals other cards.

    Returns:
        int64 [N], 0 <= part < n.

    Raises:
        ValueError: fewer than two parts, or more than there are patients of a class, or than can be
            dealt out, so that some part would lack it.
    """
    if n < 2:
        raise ValueError(f"{n} folds: at least 2")
    label = np.asarray(labels, np.int64)
    if label.shape != (len(patients),):
        raise ValueError(f"labels of shape {label.shape} beside {len(patients)} patients")
    classes_of: dict[str, set[int]] = defaultdict(set)
    for patient, value in zip(patients, label.tolist(), strict=True):
        classes_of[patient] |= {value} if value >= 0 else set()
    counts = Counter(value for classes in classes_of.values() for value in classes)
    for value, count in sorted(counts.items()):
        if count < n:
            raise ValueError(
                f"{n} folds, but {count} patient(s) of class {value} to deal out: at most {count}"
            )
    # Sorted so, all who have class 0 are neighbours, and of two classes all who have class 1.
    dealt = sorted(
        classes_of, key=lambda p: (tuple(sorted(classes_of[p])), rank_hash(seed, "deal", p))
    )
    part = {patient: place % n for place, patient in enumerate(dealt)}
    for value in sorted(counts):  # of three classes not all neighbours are
        there = {part[patient] for patient, classes in classes_of.items() if value in classes}
        if len(there) < n:
            raise ValueError(
                f"{n} folds: with pictures of several classes a patient, part "
                f"{min(set(range(n)) - there)} would have nobody of class {value}: take fewer, or "
                "another seed"
            )
    return np.array([part[patient] for patient in patients], np.int64)
