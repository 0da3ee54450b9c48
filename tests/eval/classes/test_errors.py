"""Attribution: every error once, and what a perfect stage leaves."""

import numpy as np
import pytest

from eval.classes.compose import compose, decide
from eval.classes.errors import attribute, first_perfect, second_perfect

T1, T2 = 0.4, 0.5


@pytest.fixture
def rows():
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 3, 500)
    return truth, rng.random(500), rng.random(500)


def test_kinds_add_up_to_all_errors_and_are_what_a_loop_finds(rows):
    truth, p1, p2 = rows
    said = decide(p1, p2, T1, T2)
    found = attribute(truth, said, (p2 >= T2).astype(int))
    counted = dict.fromkeys(("missed", "alarms", "below", "alarms_wrong_below"), 0)
    for t, a, b in zip(truth, p1, p2, strict=True):
        second = int(b >= T2)
        if a >= T1 and t != 2:
            counted["alarms"] += 1
            counted["alarms_wrong_below"] += second != t
        elif a < T1 and t == 2:
            counted["missed"] += 1
        elif a < T1:
            counted["below"] += second != t
    assert {k: getattr(found, k) for k in counted} == counted
    assert found.wrong == (said != truth).sum()
    assert found.wrong == found.missed + found.alarms + found.below
    assert attribute(truth, said).alarms_wrong_below is None


def test_a_perfect_stage_leaves_the_others_errors(rows):
    truth, p1, p2 = rows
    said = decide(p1, p2, T1, T2)
    now = attribute(truth, said, (p2 >= T2).astype(int))
    _, first = first_perfect(truth, p2, T2)
    left = attribute(truth, first)
    assert (left.missed, left.alarms) == (0, 0)
    # those it had taken falsely now reach the second stage, which errs about some
    assert left.below == now.below + now.alarms_wrong_below
    _, second = second_perfect(truth, p1, p2, T1, T2)
    left = attribute(truth, second)
    assert (left.missed, left.alarms, left.below) == (now.missed, now.alarms, 0)


def test_oracles_agree_with_their_probabilities_and_together_are_right(rows):
    truth, p1, p2 = rows
    P, _ = first_perfect(truth, p2, T2)
    assert (P[truth == 2, 2] == 1).all()
    assert (P[truth != 2, 2] == 0).all()
    P, _ = second_perfect(truth, p1, p2, T1, T2)
    assert np.allclose(P[:, 2], p1)
    assert np.allclose(P[truth == 2], compose(p1, p2)[truth == 2])
    assert (P[truth == 0, 1] == 0).all()
    assert (P[truth == 1, 0] == 0).all()
    _, said = first_perfect(truth, (truth == 1).astype(float), 0.5)
    assert (said == truth).all()
    # a threshold of 0 calls everybody sick, but not where the truth is known
    assert (first_perfect(truth, p2, 0.0)[1][truth == 0] == 1).all()
