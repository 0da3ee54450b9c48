"""The permutation test against every swap there is, and against models that are equally good."""

from itertools import product

import numpy as np
import pytest
from scipy.stats import rankdata
from sklearn import metrics as sk

from eval.classes.single import most_probable
from eval.classes.systems import Answers
from eval.variants.permutation import permutation_p


def reader(latent, seed, skill=1.0):
    """Answers of a reader who sees a latent through noise."""
    rng = np.random.default_rng(seed)
    seen = skill * latent + rng.normal(size=latent.size)
    z = -(np.abs(seen[:, None] - skill * np.array([-1.0, 0.3, 1.5])) ** 2)
    P = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    return most_probable(P)


def drawn(n, seed, each=1):
    latent = np.random.default_rng([1, seed]).normal(size=n)
    patient = np.repeat(np.arange(n), each)
    return np.digitize(latent, [-0.3, 0.9])[patient], patient, latent[patient]


def pairs(sick, well):
    """How often one of `sick` is above one of `well`, ties counting half: pair by pair."""
    gap = sick[:, None] - well[None]
    return ((gap > 0) + 0.5 * (gap == 0)).mean()


def value(truth, P, said, statistic):
    if statistic == "auroc_ovr":
        return np.mean([pairs(P[truth == c, c], P[truth != c, c]) for c in range(3)])
    of = {
        "accuracy": sk.accuracy_score,
        "kappa_quadratic": lambda a, b: sk.cohen_kappa_score(a, b, weights="quadratic"),
        "f1_macro": lambda a, b: sk.f1_score(a, b, average="macro"),
    }
    return of[statistic](truth, said)


@pytest.mark.parametrize("statistic", ["auroc_ovr", "accuracy", "kappa_quadratic", "f1_macro"])
def test_against_all_swaps(statistic):
    """Eight patients of two rows: 256 swaps, one by one, by pairs and by scikit-learn."""
    rng = np.random.default_rng(4)
    patient = np.repeat(np.arange(8), 2)
    truth = (np.arange(8) % 3)[patient]
    a, b = (most_probable(rng.dirichlet(np.ones(3), 16)) for _ in range(2))
    P, Q = a.P, b.P
    if statistic == "auroc_ovr":  # what is swapped are ranks
        P, Q = (np.column_stack([rankdata(x[:, c]) for c in range(3)]) for x in (P, Q))

    def gap(swap):
        rows = np.array(swap)[patient]
        sides = []
        for one, other, said, heard in ((P, Q, a.said, b.said), (Q, P, b.said, a.said)):
            mixed = np.where(rows[:, None], other, one), np.where(rows, heard, said)
            sides.append(value(truth, *mixed, statistic))
        return abs(sides[1] - sides[0])

    found = gap([False] * 8)
    every = [gap(swap) >= found - 1e-9 for swap in product([False, True], repeat=8)]
    p = permutation_p(truth, patient, a, b, statistic, 5000, 0)
    assert p == pytest.approx(np.mean(every), abs=4 * (0.25 / 5000) ** 0.5)


@pytest.mark.parametrize("statistic", ["auroc_ovr", "f1_macro"])
def test_equally_good_models_are_told_apart_as_rarely_as_promised(statistic):
    """200 cohorts of 60 patients with two pictures each, whose readings are alike."""
    p = []
    for seed in range(200):
        truth, patient, latent = drawn(60, seed, 2)
        own = [np.repeat(np.random.default_rng([k, seed]).normal(size=60), 2) for k in (2, 3)]
        a, b = (reader(latent + o, [k, seed]) for k, o in zip((4, 5), own, strict=True))
        p.append(permutation_p(truth, patient, a, b, statistic, 99, seed))
    for alpha in (0.05, 0.25):
        share = np.mean(np.array(p) <= alpha)
        assert abs(share - alpha) <= 4 * (alpha * (1 - alpha) / 200) ** 0.5


def test_a_better_model_is_found():
    truth, patient, latent = drawn(200, 7)
    good, bad = reader(latent, 8, 2.0), reader(latent, 9, 0.3)
    assert permutation_p(truth, patient, bad, good, "auroc_ovr", 999, 0) == pytest.approx(0.001)
    assert permutation_p(truth, patient, bad, good, "accuracy", 999, 0) < 0.01


def test_another_scale_of_the_same_ranking_is_no_difference_of_auroc():
    """Sharper probabilities rank as before: raw scores, swapped, would say something."""
    truth, patient, latent = drawn(80, 10)
    rng = np.random.default_rng(0)
    p = 1 / (1 + np.exp(-latent - rng.normal(size=80)))
    P = np.column_stack([1 - p, p / 2, p / 2])
    q = p**6
    Q = np.column_stack([1 - q, q / 2, q / 2])
    found = permutation_p(truth, patient, most_probable(P), most_probable(Q), "auroc_ovr", 200, 0)
    assert found == 1.0


def test_a_statistic_that_is_not_there():
    truth, patient = np.array([0, 1, 0, 1]), np.arange(4)
    P = np.random.default_rng(0).dirichlet(np.ones(3), 4)
    a, b = most_probable(P), most_probable(P[::-1])
    assert np.isnan(permutation_p(truth, patient, a, b, "auroc_ovr", 10, 0))
    nobody = Answers(np.zeros((0, 3)), np.zeros(0, np.int64))
    none = np.zeros(0, np.int64)
    assert np.isnan(permutation_p(none, none, nobody, nobody, "accuracy", 10, 0))


def test_same_seed_same_p():
    truth, patient, latent = drawn(50, 11)
    a, b = reader(latent, 12), reader(latent, 13)
    twice = [permutation_p(truth, patient, a, b, "auroc_ovr", 150, 3) for _ in range(2)]
    assert twice[0] == twice[1]
