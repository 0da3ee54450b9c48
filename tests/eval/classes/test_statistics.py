"""Statistics against scikit-learn and plain loops; resamples against literal resampling."""

import numpy as np
import pytest
from sklearn import metrics as sk

from eval.classes.contrasts import contrast, two_sided
from eval.classes.judged import judged, statistics
from eval.classes.statistics import Cases, decided, rps
from eval.classes.systems import Answers


def draw(n, seed, skill=1.0, who=None):
    """Truth of a latent and the answers of a reader: probabilities by its distance from cuts."""
    rng = np.random.default_rng(seed)
    latent = np.random.default_rng([1, *np.atleast_1d(seed)]).normal(size=n) if who is None else who
    truth = np.digitize(latent, [-0.3, 0.9])
    reading = skill * latent + rng.normal(size=n)
    scores = -(np.abs(reading[:, None] - skill * np.array([-1.0, 0.3, 1.5])) ** 2)
    P = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    return truth, Answers(P, P.argmax(axis=1))


def test_values_are_scikit_learns():
    truth, answers = draw(200, 1)
    said, P = answers.said, answers.P
    found = statistics(Cases.of(truth, np.arange(200), 20, 0, 0.95), answers)
    expected = {
        "accuracy": sk.accuracy_score(truth, said),
        "balanced_accuracy": sk.balanced_accuracy_score(truth, said),
        "precision_macro": sk.precision_score(truth, said, average="macro"),
        "f1_macro": sk.f1_score(truth, said, average="macro"),
        "precision_weighted": sk.precision_score(truth, said, average="weighted"),
        "f1_weighted": sk.f1_score(truth, said, average="weighted"),
        "kappa": sk.cohen_kappa_score(truth, said),
        "kappa_quadratic": sk.cohen_kappa_score(truth, said, weights="quadratic"),
        "auroc_ovr": sk.roc_auc_score(truth, P, multi_class="ovr"),
        "recall_1": sk.recall_score(truth, said, average=None)[1],
        "auroc_2": sk.roc_auc_score(truth == 2, P[:, 2]),
    }
    assert {k: found[k].value for k in expected} == pytest.approx(expected, abs=1e-12)


def test_rps_and_ordinal_c_are_what_loops_find():
    truth, answers = draw(60, 2)
    P = answers.P
    expected = [
        sum((P[i, : k + 1].sum() - (truth[i] <= k)) ** 2 for k in range(2)) / 2 for i in range(60)
    ]
    assert rps(truth, P) == pytest.approx(expected, abs=1e-12)
    each = []
    for low, high in ((0, 1), (0, 2), (1, 2)):
        wins = [
            (P[j, 1] + 2 * P[j, 2] > P[i, 1] + 2 * P[i, 2])
            + 0.5 * (P[j, 1] + 2 * P[j, 2] == P[i, 1] + 2 * P[i, 2])
            for i in np.flatnonzero(truth == low)
            for j in np.flatnonzero(truth == high)
        ]
        each.append(np.mean(wins))
    found = statistics(Cases.of(truth, np.arange(60), 20, 0, 0.95), answers)
    assert found["c_ordinal"].value == pytest.approx(np.mean(each), abs=1e-12)


def test_rps_rewards_nearness_where_brier_does_not():
    truth = np.array([0, 0])
    near, far = rps(truth, np.array([[0.5, 0.5, 0], [0.5, 0, 0.5]]))
    assert near == pytest.approx(0.125)
    assert far == pytest.approx(0.25)
    assert rps(np.array([0, 2]), np.array([[0, 0, 1.0], [0, 0, 1.0]])).tolist() == [1.0, 0.0]


def test_resamples_are_the_statistics_of_the_rows_drawn():
    truth, answers = draw(90, 3)
    who = np.arange(90) // 3
    cases = Cases.of(truth, who, 25, 7, 0.95)
    found = statistics(cases, answers)
    for d in range(25):
        rows = np.repeat(np.arange(90), cases.counts[d][cases.patient])
        again = Answers(answers.P[rows], answers.said[rows])
        once = statistics(Cases.of(truth[rows], np.arange(rows.size), 1, 0, 0.95), again)
        for name, s in found.items():
            assert s.draws[d] == pytest.approx(once[name].value, abs=1e-12, nan_ok=True), name


def test_rows_of_one_patient_are_one():
    truth, answers = draw(150, 4)
    one = statistics(cases := Cases.of(truth, np.arange(150), 800, 0, 0.95), answers)
    three = np.tile(np.arange(150), 3)
    copies = Cases.of(truth[three], three, 800, 0, 0.95)
    many = statistics(copies, Answers(answers.P[three], answers.said[three]))
    for name in ("f1_macro", "kappa_quadratic", "rps", "auroc_ovr"):
        a, b = one[name].estimate(cases), many[name].estimate(copies)
        assert (a.low, a.high) == pytest.approx((b.low, b.high), abs=1e-9)
    whole = [
        judged("A", c, a, f, None)
        for c, a, f in (
            (cases, answers, one),
            (copies, Answers(answers.P[three], answers.said[three]), many),
        )
    ]
    for name in ("accuracy", "kappa", "kappa_quadratic"):
        widths = [getattr(j, name).high - getattr(j, name).low for j in whole]
        assert widths[1] == pytest.approx(widths[0], rel=0.1), name


@pytest.mark.parametrize("name", ["f1_macro", "kappa_quadratic", "rps", "balanced_accuracy"])
def test_intervals_hold_the_truth_as_often_as_they_say(name, coverage):
    """Within four binomial standard errors of 400 cohorts around what is promised."""
    covered, found = coverage[name]
    assert abs(covered - 0.95) <= 4 * (0.95 * 0.05 / 400) ** 0.5
    assert abs(found - 0.05) <= 4 * (0.95 * 0.05 / 400) ** 0.5


@pytest.fixture(scope="module")
def coverage():
    """Share of 400 cohorts of 250 whose interval holds the value in 400,000 rows; share of tests
    between two equally good readers of the same people that find p < 0.05."""
    names = ("f1_macro", "kappa_quadratic", "rps", "balanced_accuracy")
    truth, answers = draw(400_000, 99)
    every = decided(Cases(truth, np.arange(truth.size), None, 0, "", 0.95), answers.P, answers.said)
    held, found = dict.fromkeys(names, 0), dict.fromkeys(names, 0)
    for seed in range(400):
        latent = np.random.default_rng([seed, 1]).normal(size=250)
        truth, a = draw(250, [seed, 2], who=latent)
        _, b = draw(250, [seed, 3], who=latent)
        cases = Cases.of(truth, np.arange(250), 300, seed, 0.95)
        x, y = (decided(cases, r.P, r.said) for r in (a, b))
        for name in names:
            e = x[name].estimate(cases)
            held[name] += e.low <= every[name].value <= e.high
            test = contrast("c", cases, name, ("A", x[name]), ("B", y[name]))
            found[name] += test.p < 0.05
    return {name: (held[name] / 400, found[name] / 400) for name in names}


def test_p_and_interval_agree():
    draws = np.concatenate([np.full(19, -0.1), np.full(980, 0.2)])
    assert two_sided(draws) == 2 * 20 / 1000
    assert two_sided(np.zeros(99)) == 1.0
    assert two_sided(np.full(999, 3.0)) == 2 / 1000


def test_classes_that_cannot_be_resampled():
    truth, answers = draw(40, 6)
    one = Cases.of(truth, np.where(truth == 2, 999, np.arange(40)), 50, 0, 0.95)
    assert one.counts is None
    e = statistics(one, answers)["f1_macro"].estimate(one)
    assert e.value is not None
    assert e.undefined == "a class has too few patients to resample"
    alone = Cases.of(np.zeros(40, int), np.arange(40), 50, 0, 0.95)
    found = statistics(alone, answers)
    assert np.isnan(found["auroc_ovr"].value)
    assert found["balanced_accuracy"].estimate(alone, "why not").undefined == "why not"
    assert found["rps"].estimate(alone).low is not None
