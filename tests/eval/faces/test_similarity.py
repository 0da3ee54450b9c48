"""Similarity within and between classes, against loops over pairs, sklearn, and what must hold."""

from itertools import combinations

import numpy as np
import pytest
from sklearn.metrics import silhouette_score

from eval.faces.similarity import by_patient, similarity


def cosine(a, b):
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


@pytest.fixture
def vectors():
    """60 patients of three classes, 90 pictures: what speaks for the own class speaks against the
    others, in patients of the one and of the other."""
    rng = np.random.default_rng(4)
    label = np.repeat([0, 1, 2], [25, 20, 15])
    lean = rng.normal(size=(3, 5))
    person = rng.normal(size=(60, 3, 5)) + lean * np.where(np.eye(3)[label] > 0, 1, -1)[..., None]
    of = np.concatenate([np.arange(60), rng.integers(60, size=30)])
    return (
        person[of] + 0.2 * rng.normal(size=(90, 3, 5)),
        label[of],
        np.array([f"p{i}" for i in of]),
    )


def test_means_and_spread_are_those_of_a_loop_over_pairs(vectors):
    v, y, people = vectors
    found = similarity(v, y, people, permutations=19, draws=50)
    names = sorted(set(people))
    own = {n: np.mean([v[i, y[i]] for i in np.flatnonzero(people == n)], axis=0) for n in names}
    label = {n: y[people == n][0] for n in names}
    pairs = {}
    for a, b in combinations(names, 2):
        at = tuple(sorted((label[a], label[b])))
        pairs.setdefault(at, []).append(cosine(own[a], own[b]))
    for x in (*found.within, *found.between):
        want = pairs[x.first, x.second]
        assert x.pairs == len(want)
        np.testing.assert_allclose([x.mean.value, x.sd], [np.mean(want), np.std(want, ddof=1)])
        assert x.mean.low < x.mean.value < x.mean.high
    same = np.concatenate([p for (a, b), p in pairs.items() if a == b])
    other = np.concatenate([p for (a, b), p in pairs.items() if a != b])
    assert found.discrimination.value == pytest.approx(same.mean() - other.mean())
    distance = np.array([[1 - cosine(own[a], own[b]) for b in names] for a in names])
    np.fill_diagonal(distance, 0)
    want = silhouette_score(distance, [label[n] for n in names], metric="precomputed")
    assert found.silhouette == pytest.approx(want)
    assert found.patients == 60
    assert found.left_out == 0


def test_p_is_the_share_of_dealt_labels_and_finds_what_is_there(vectors):
    v, y, people = vectors
    found = similarity(v, y, people, permutations=999, draws=10)
    assert found.p_discrimination == found.p_silhouette == 1 / 1000
    assert similarity(v, y, people, permutations=999, draws=10) == found


def test_labels_that_mean_nothing_give_uniform_p():
    """Whatever the vectors of each class have in common: the trap of explaining one's own class."""
    rng = np.random.default_rng(0)
    ps = []
    lean = 3 * rng.normal(size=(2, 5))
    for seed in range(60):
        v = lean + rng.normal(size=(24, 2, 5))  # each class's vectors lean, whoever it is
        y = rng.permutation(np.repeat([0, 1], 12))
        found = similarity(v, y, np.arange(24), permutations=99, draws=2, seed=seed)
        ps.append(found.p_discrimination)
        assert found.discrimination.value > 0.1  # and it looks like discrimination
    assert 0.3 < np.mean(ps) < 0.7
    assert np.mean(np.array(ps) <= 0.1) < 0.2


def test_pictures_of_a_patient_are_one():
    v = np.random.default_rng(1).integers(-9, 9, (12, 5)).astype(float)  # means are exact
    y = np.repeat([0, 1], 6)
    once = similarity(v, y, np.arange(12), permutations=50, draws=20)
    rows = np.concatenate([np.arange(12), np.repeat(3, 40)])
    assert similarity(v[rows], y[rows], rows, permutations=50, draws=20) == once
    mean, who = by_patient(v[rows], rows)
    np.testing.assert_allclose(mean, v)
    assert who.tolist() == list(range(12))


def test_what_has_no_direction_is_left_out_and_a_lone_class_is_not_compared():
    v = np.random.default_rng(1).normal(size=(12, 5))
    v[2] = 0
    y = np.array([0] * 6 + [1] * 5 + [2])
    found = similarity(v, y, np.arange(12), permutations=9, draws=9)
    assert (found.patients, found.left_out) == (10, 2)
    assert [x.first for x in found.within] == [0, 1]
    alone = similarity(v[:6], y[:6], np.arange(6))
    assert alone.discrimination.value is None
    assert "two classes" in alone.discrimination.undefined
    assert similarity(np.zeros((0, 3, 5)), np.zeros(0, int), np.zeros(0)).patients == 0


def test_what_cannot_be_compared_is_refused():
    v = np.ones((4, 5))
    with pytest.raises(ValueError, match="patient 1 is of two classes"):
        similarity(v, [0, 0, 1, 1], [0, 1, 1, 2])
    with pytest.raises(ValueError, match="not finite"):
        similarity(v * np.nan, [0, 0, 1, 1], range(4))
    with pytest.raises(ValueError, match="labels go from 0 to 1"):
        similarity(np.ones((4, 2, 5)), [0, 0, 1, 2], range(4))
    with pytest.raises(ValueError, match="vectors are"):
        similarity(v, [0.5, 0, 1, 1], range(4))
    with pytest.raises(ValueError, match="4 pictures of 3"):
        similarity(v, [0, 0, 1, 1], range(3))
