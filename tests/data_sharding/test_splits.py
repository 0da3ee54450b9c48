from __future__ import annotations

from collections import Counter

import pytest

from data_sharding.splits import FRACTIONS, assign, fold, stratum


def strata_of(n: int) -> dict[str, tuple[str, str, str]]:
    return {f"p{i}": stratum(i % 2, "FM"[i % 3 == 0], 50 + i * 7 % 40) for i in range(n)}


@pytest.mark.parametrize("n", [1, 5, 10, 57, 300, 1234])
def test_splits_are_70_10_20_within_a_patient_in_every_stratum_and_overall(n):
    strata = strata_of(n)
    split = assign(strata, seed=3)
    assert split.keys() == strata.keys()
    for group in [None, *set(strata.values())]:
        members = [p for p in strata if group in (None, strata[p])]
        counts = Counter(split[p] for p in members)
        for name, fraction in FRACTIONS.items():
            assert abs(counts[name] - fraction * len(members)) < 1.0 + 1e-9


def test_splits_depend_on_the_seed_and_not_on_the_order():
    strata = strata_of(200)
    split = assign(strata, seed=0)
    assert assign(dict(reversed(strata.items())), seed=0) == split
    assert assign(strata, seed=1) != split


def test_other_roles_are_not_split():
    assert set(assign(strata_of(9), 0, "external").values()) == {"external"}
    assert set(assign(strata_of(9), 0, "public").values()) == {"public"}


def test_folds():
    counts = Counter(fold(f"p{i}", 5) for i in range(2000))
    assert sorted(counts) == [0, 1, 2, 3, 4]
    assert min(counts.values()) > 330
    with pytest.raises(ValueError, match="folds"):
        fold("p", 1)


def test_those_whose_split_is_known_keep_it_and_the_rest_fill_up():
    strata = {f"p{n}": n % 2 for n in range(200)}
    kept = {f"p{n}": "test" for n in range(30)} | {"elsewhere": "tune"}
    out = assign(strata, seed=3, kept=kept)
    assert out.keys() == strata.keys()
    assert all(out[p] == "test" for p in kept if p in strata)
    counts = [sum(split == s for split in out.values()) for s in ("train", "tune", "test")]
    assert counts == [140, 20, 40]
    assert assign(dict(reversed(strata.items())), seed=3, kept=kept) == out
    assert assign(strata, seed=3, kept={}) == assign(strata, seed=3)
