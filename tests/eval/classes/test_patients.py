"""People instead of pictures, against pandas."""

import numpy as np
import pandas as pd
import pytest

from eval.classes.patients import classes_of, conflict, mean_of, several


def rows(seed=0, people=30, most=5):
    rng = np.random.default_rng(seed)
    who = np.repeat([f"p{i}" for i in range(people)], rng.integers(1, most, people))
    truth = pd.Series(who).str[1:].astype(int).to_numpy() % 3
    P = rng.dirichlet(np.ones(3), who.size)
    order = rng.permutation(who.size)
    return truth[order], who[order], P[order]


def test_means_are_those_of_a_grouping_in_the_order_of_names():
    truth, who, P = rows()
    expected = pd.DataFrame(P).groupby(who).mean()
    assert mean_of(P, who) == pytest.approx(expected.to_numpy(), abs=1e-15)
    found, names = classes_of(truth, who)
    assert names.tolist() == expected.index.tolist()
    assert found.tolist() == [int(n[1:]) % 3 for n in names]
    assert mean_of(P, who).sum(axis=1) == pytest.approx(1)


def test_nobody_is_two_people():
    truth, who, _ = rows()
    assert conflict(truth, who) == ""
    at = int(np.flatnonzero(who == "p7")[0])
    one_more = np.append(truth, (truth[at] + 1) % 3), np.append(who, "p7")
    assert conflict(*one_more) == "1 patients have pictures of different classes, such as p7"
    with pytest.raises(ValueError, match="such as p7"):
        classes_of(*one_more)


def test_several_and_nobody():
    assert several(np.array(["a", "b", "a"]))
    assert not several(np.array(["a", "b"]))
    nobody = np.zeros(0, np.int64), np.array([], str)
    assert conflict(*nobody) == ""
    assert mean_of(np.zeros((0, 3)), nobody[1]).shape == (0, 3)
