"""Parts of a split: patients whole, classes even, and the same for ever."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict

import numpy as np
import pytest

from training.folds import fold_of

CASES = range(60)


def some(seed):
    """Rows of patients of one to four pictures, two or three classes, some unknown."""
    rng = np.random.default_rng(seed)
    n_patients, n = int(rng.integers(30, 200)), int(rng.integers(2, 8))
    classes = rng.integers(-1, rng.integers(2, 4), n_patients)
    classes[:24] = np.arange(24) % 3 % (classes.max() + 1)
    who = np.repeat(np.arange(n_patients), rng.integers(1, 5, n_patients))
    rng.shuffle(who)
    return [f"p{i}" for i in who], classes[who], min(n, 8)


@pytest.mark.parametrize("seed", CASES)
def test_patients_are_whole_and_classes_even(seed):
    patients, labels, n = some(seed)
    found = fold_of(patients, labels, n, seed)
    assert found.dtype == np.int64
    assert found.shape == (len(patients),)
    parts_of = defaultdict(set)
    for patient, part in zip(patients, found, strict=True):
        parts_of[patient].add(int(part))
    assert all(len(parts) == 1 for parts in parts_of.values())
    class_of = dict(zip(patients, labels.tolist(), strict=True))
    for value in {None, *class_of.values()}:
        counts = Counter(
            next(iter(parts))
            for patient, parts in parts_of.items()
            if value is None or class_of[patient] == value
        )
        sizes = [counts[k] for k in range(n)]
        assert max(sizes) - min(sizes) <= 1, (value, sizes)


@pytest.mark.parametrize("seed", CASES)
def test_the_order_of_rows_is_nothing_and_the_seed_is(seed):
    patients, labels, n = some(seed)
    found = fold_of(patients, labels, n, seed)
    shuffled = np.random.default_rng(seed).permutation(len(patients))
    again = fold_of([patients[i] for i in shuffled], labels[shuffled], n, seed)
    assert (again == found[shuffled]).all()
    assert (fold_of(patients, labels, n, seed + 1) != found).any()


def test_cards_are_dealt_in_the_order_of_their_hashes():
    patients, labels = [f"p{i}" for i in range(12)], [i % 3 for i in range(12)]

    def card(i):
        return labels[i], hashlib.sha256(f"7\0deal\0p{i}".encode()).hexdigest()

    expected = {i: place % 3 for place, i in enumerate(sorted(range(12), key=card))}
    found = fold_of(patients, labels, 3, 7).tolist()
    assert found == [expected[i] for i in range(12)]
    assert found == [0, 1, 1, 2, 2, 2, 0, 1, 0, 1, 0, 2]  # for ever


@pytest.mark.parametrize("seed", CASES)
def test_patients_of_both_classes_count_for_both(seed):
    rng = np.random.default_rng(seed)
    patients = [f"p{i}" for i in rng.integers(0, 60, 150)]
    labels = rng.integers(-1, 2, 150)
    n = int(rng.integers(2, 8))
    found = fold_of(patients, labels, n, seed)
    for value in (0, 1):
        having = {
            (p, int(k)) for p, y, k in zip(patients, labels, found, strict=True) if y == value
        }
        sizes = [sum(k == part for _, k in having) for part in range(n)]
        assert max(sizes) - min(sizes) <= 1, (value, sizes)
    together = Counter(dict(zip(patients, found.tolist(), strict=True)).values())
    assert max(together.values()) - min(together[k] for k in range(n)) <= 1


def test_more_folds_than_patients_of_a_class_are_refused():
    patients, labels = ["a", "a", "b", "c", "d", "e"], [1, 1, 1, 0, 0, 0]
    assert set(fold_of(patients, labels, 2)) == {0, 1}
    with pytest.raises(ValueError, match=r"3 folds, but 2 patient.* of class 1 .*at most 2"):
        fold_of(patients, labels, 3)
    # of an unknown class there may be fewer
    assert len(fold_of([*patients, "x"], [*labels, -1], 2)) == 7
    with pytest.raises(ValueError, match="at least 2"):
        fold_of(patients, labels, 1)
    with pytest.raises(ValueError, match="beside 2 patients"):
        fold_of(["a", "b"], [1], 2)


def test_of_three_classes_no_part_lacks_one_or_it_is_said():
    rng = np.random.default_rng(0)
    said = 0
    for seed in range(200):
        patient = np.repeat(np.arange(12), 2)
        label = rng.choice(3, 24, p=[0.6, 0.25, 0.15])
        try:
            part = fold_of([f"p{p}" for p in patient], label, 2, seed)
        except ValueError as e:
            said += "would have nobody of class" in str(e)
            continue
        assert all(set(label[part == k]) == set(label) for k in range(2))
    assert 0 < said < 20
