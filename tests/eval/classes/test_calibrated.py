"""Calibration of three classes: against scikit-learn, loops and data that are calibrated."""

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss

from eval.calibration import top_label_ece
from eval.classes.calibrated import brier_of, calibrated, ece_if_right
from eval.classes.statistics import Cases
from eval.goodness import of_classes


def stated(n, seed, sharp=1.0):
    """Probabilities [n, 3], and classes that are drawn from them."""
    rng = np.random.default_rng(seed)
    z = 1.3 * rng.normal(size=(n, 1)) * np.array([-1.0, 0.2, 1.0]) + [0.5, 0.2, -0.8]
    P = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    truth = (rng.random((n, 1)) > P.cumsum(axis=1)[:, :-1]).sum(axis=1)
    said = P**sharp
    return truth, said / said.sum(axis=1, keepdims=True)


def cases(truth, draws=200):
    return Cases.of(truth, np.arange(truth.size), draws, 0, 0.95)


def test_numbers_are_scikit_learns_and_a_loops():
    truth, P = stated(300, 1)
    found = calibrated(cases(truth), P, 0)
    for c, k in enumerate(found.classes):
        assert k.brier == pytest.approx(brier_score_loss(truth == c, P[:, c]), abs=1e-12)
        assert k.n == (truth == c).sum()
        assert k.mean_predicted == pytest.approx(P[:, c].mean())
        gaps = 0.0
        for b in range(10):
            rows = (P[:, c] > b / 10) & (P[:, c] <= (b + 1) / 10)
            gaps += abs((truth[rows] == c).sum() - P[rows, c].sum())
        assert k.ece == pytest.approx(gaps / 300, abs=1e-12)
        assert sum(b.n for b in k.bins) == 300
        observed = [b.n * b.observed.value for b in k.bins if b.n]
        assert sum(observed) == pytest.approx(k.n)
    whole = brier_of(cases(truth), P)
    assert whole.value == pytest.approx(sum(k.brier for k in found.classes), abs=1e-12)


def test_resampled_brier_is_that_of_the_rows_drawn():
    truth, P = stated(60, 2)
    c = cases(truth, 20)
    drawn = brier_of(c, P).draws
    each = ((P - np.eye(3)[truth]) ** 2).sum(axis=1)
    for d in range(20):
        rows = np.repeat(np.arange(60), c.counts[d][c.patient])
        assert drawn[d] == pytest.approx(each[rows].mean(), abs=1e-12)


def test_an_ece_that_chance_alone_makes():
    """The mean over cohorts whose probabilities are true."""
    found = [float(top_label_ece(*stated(150, s))) for s in range(300)]
    expected = [ece_if_right(stated(150, s)[1], 0) for s in range(20)]
    assert np.mean(expected) == pytest.approx(np.mean(found), abs=0.004)
    assert ece_if_right(np.eye(3), 0) == 0


def test_hosmer_lemeshow_of_classes_is_the_sum_over_cells():
    truth, P = stated(400, 3)
    found = of_classes(truth, P)
    groups = np.array_split(np.argsort(1 - P[:, 0], kind="stable"), 10)
    expected = sum(
        ((truth[g] == c).sum() - P[g, c].sum()) ** 2 / P[g, c].sum()
        for g in groups
        for c in range(3)
    )
    assert found.chi2 == pytest.approx(expected, rel=1e-9)
    assert found.df == 20


def test_p_is_uniform_where_probabilities_are_true_and_small_where_not():
    """300 cohorts of 120, whose rarest class has fewer than 1 expected in some groups."""
    p = np.array([of_classes(*stated(120, s), draws=200).p for s in range(300)])
    for alpha in (0.05, 0.2, 0.5):
        assert abs((p <= alpha).mean() - alpha) <= 4 * (alpha * (1 - alpha) / 300) ** 0.5
    bad = np.array([of_classes(*stated(300, s, sharp=2.0), draws=200).p for s in range(30)])
    assert (bad < 0.05).mean() > 0.9


def test_two_classes_are_hosmer_and_lemeshows_own():
    """Of two classes the statistic is the binary one, on new data."""
    from eval.goodness import hosmer_lemeshow

    rng = np.random.default_rng(4)
    p = rng.uniform(0.1, 0.9, 500)
    y = (rng.random(500) < p).astype(int)
    one, two = hosmer_lemeshow(y, p, external=True), of_classes(y, np.column_stack([1 - p, p]))
    assert two.chi2 == pytest.approx(one.chi2, rel=1e-9)
    assert two.df == one.df == 10
    assert two.p == pytest.approx(one.p, abs=0.05)


@pytest.mark.parametrize(
    ("truth", "P", "why"),
    [
        (np.zeros(0, int), np.zeros((0, 3)), "no rows"),
        (np.zeros(9, int), np.full((9, 3), 1 / 3), "1 groups are left"),
        (np.arange(9) % 3, np.eye(3)[np.arange(9) % 3], "2 groups are left"),
        (
            np.arange(12) % 3,
            np.column_stack(
                [np.linspace(0.1, 0.9, 12), 1 - np.linspace(0.1, 0.9, 12), np.zeros(12)]
            ),
            "expects nobody",
        ),
    ],
)
def test_where_there_is_no_test(truth, P, why):
    found = of_classes(truth, P)
    assert (found.chi2, found.p) == (None, None)
    assert why in found.undefined


def test_refuses_what_is_no_probability():
    with pytest.raises(ValueError, match="sum to 1"):
        of_classes([0, 1], [[0.5, 0.1], [0.5, 0.5]])
    with pytest.raises(ValueError, match="at least 3"):
        of_classes([0, 1], [[0.5, 0.5], [0.5, 0.5]], groups=2)
