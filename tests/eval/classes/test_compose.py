"""Two stages as one answer, against enumeration, and calibrated where the stages are."""

import numpy as np
import pytest

from eval.classes.compose import compose, decide, parts
from tests.eval.classes.cases import people


def test_composition_is_the_tree_of_outcomes():
    """Each path through the stages by itself: what is told of every pair of coins."""
    p1, p2 = np.linspace(0, 1, 11), np.linspace(1, 0, 11) ** 2
    expected = np.zeros((11, 3))
    for i in range(11):
        for sick, share in ((True, p1[i]), (False, 1 - p1[i])):
            for low, part in ((True, p2[i]), (False, 1 - p2[i])):
                expected[i, 2 if sick else int(low)] += share * part
    assert compose(p1, p2) == pytest.approx(expected, abs=1e-15)


def test_parts_undo_it():
    rng = np.random.default_rng(0)
    p1, p2 = rng.random(50), rng.random(50)
    assert np.allclose(parts(compose(p1, p2)), (p1, p2), atol=1e-12)
    assert parts([[0.0, 0.0, 1.0]]) == (pytest.approx([1.0]), pytest.approx([0.0]))


def test_the_stages_are_asked_in_turn_and_a_threshold_belongs_to_the_positive():
    p1, p2 = [0.3, 0.29, 0.29, 0.9], [0.1, 0.5, 0.49, 0.9]
    said = []
    for a, b in zip(p1, p2, strict=True):
        if a >= 0.3:
            said.append(2)
        elif b >= 0.5:
            said.append(1)
        else:
            said.append(0)
    assert decide(p1, p2, 0.3, 0.5).tolist() == said == [2, 1, 0, 2]


def test_calibrated_stages_compose_to_calibrated_classes():
    """p1, p2 of the latent in closed form, against 120,000 DXA examinations by decile."""
    who = people(120_000, 5)
    P = compose(who.p1, who.p2)
    for c in range(3):
        edges = np.quantile(P[:, c], np.linspace(0, 1, 11)[1:-1])
        place = np.digitize(P[:, c], edges)
        n = np.bincount(place)
        told = np.bincount(place, weights=P[:, c]) / n
        seen = np.bincount(place, weights=who.category == c) / n
        error = np.sqrt(np.bincount(place, weights=P[:, c] * (1 - P[:, c]))) / n
        assert (np.abs(told - seen) < 4 * error + 1e-4).all(), c


@pytest.mark.parametrize(
    ("p1", "p2", "match"),
    [
        ([0.2, np.nan], [0.1, 0.1], "1 of 2 probabilities of osteoporosis are NaN"),
        ([0.2, 0.1], [0.1, 1.1], "1 of 2 probabilities of low bone mass are outside"),
        ([0.2, 0.1], [0.1], "have shape"),
    ],
)
def test_refuses(p1, p2, match):
    with pytest.raises(ValueError, match=match):
        compose(p1, p2)


@pytest.mark.parametrize("t", [np.nan, -0.1, np.inf])
def test_a_threshold_that_is_none(t):
    with pytest.raises(ValueError, match=r"a probability in \[0, 1\]"):
        decide([0.1], [0.2], 0.5, t)
