"""DeLong against R's pROC, an O(mn) second implementation, its known properties, its coverage."""

import time

import numpy as np
import pytest
from scipy.stats import norm

from eval.bootstrap import PatientDraws
from eval.delong import covariance, delong_auc, delong_test, delong_unpaired
from eval.ranking import Ranking


def scores(n, seed, ties=False):
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < 0.45).astype(int)
    s = y * 1.1 + rng.normal(size=(2, n)) + rng.normal(size=n)
    return y, np.round(s) if ties else s


def slow(y, s):
    """DeLong 1988, written from the paper: psi over all pairs, n - 1 denominators."""
    v10, v01 = [], []
    for row in s:
        d = row[y == 1][:, None] - row[y == 0][None]
        psi = (d > 0) + 0.5 * (d == 0)
        v10.append(psi.mean(axis=1))
        v01.append(psi.mean(axis=0))
    auroc = np.mean(v10, axis=1)
    return auroc, np.cov(v10) / (y == 1).sum() + np.cov(v01) / (y == 0).sum()


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("n", [12, 80, 400])
def test_agrees_with_the_definition(n, ties):
    y, s = scores(n, n, ties)
    auroc, cov = covariance(y, s)
    expected, expected_cov = slow(y, s)
    assert auroc == pytest.approx(expected, abs=1e-12)
    assert cov == pytest.approx(expected_cov, abs=1e-12)
    assert covariance(y, s, np.arange(n))[1] == pytest.approx(expected_cov, abs=1e-12)


def test_identical_scores():
    y, s = scores(50, 0)
    test = delong_test(y, s[0], s[0])
    assert (test.difference, test.z, test.p) == (0.0, 0.0, 1.0)


def test_a_monotone_transform_changes_nothing():
    y, s = scores(60, 1)
    assert delong_test(y, s[0], np.exp(s[0])).p == 1.0


def test_perfect_has_no_variance_and_no_p():
    y = np.array([0, 0, 0, 1, 1, 1])
    auroc, cov = covariance(y, [y, -y])
    assert auroc.tolist() == [1.0, 0.0]
    assert not cov.any()
    test = delong_test(y, y, -y)
    assert test.difference == 1.0
    assert test.p is None
    assert "no variance" in test.undefined


def test_the_direction_is_forced():
    """A model worse than chance stays worse: nobody flips its sign."""
    y, s = scores(200, 2)
    assert covariance(y, -s)[0] == pytest.approx(1 - covariance(y, s)[0])


def test_one_patient_in_a_class_is_refused():
    with pytest.raises(ValueError, match="two patients in each class: 1 positive"):
        covariance([0, 0, 1, 1], [[1, 2, 3, 4]], [0, 1, 2, 2])


def test_twins_leave_the_standard_error_almost_where_it_was():
    y, s = scores(120, 3)
    alone = delong_test(y, *s)
    who = np.repeat(np.arange(120), 2)
    twins = delong_test(np.repeat(y, 2), *np.repeat(s, 2, axis=1), patients=who)
    naive = delong_test(np.repeat(y, 2), *np.repeat(s, 2, axis=1))
    assert twins.error == pytest.approx(alone.error, rel=1e-9)
    assert naive.error < 0.75 * alone.error


def test_p_is_uniform_when_two_models_are_equally_good():
    rng = np.random.default_rng(5)
    y = np.repeat([0, 1], 60)
    p = [delong_test(y, *(y + rng.normal(size=(2, 120)))).p for _ in range(400)]
    assert 0.02 < np.mean(np.array(p) < 0.05) < 0.09


def test_patients_with_rows_of_both_classes_against_resampling_them():
    """A patient's own level moves both rows and cancels: rows taken as strangers overstate it."""
    rng = np.random.default_rng(6)
    n = 250
    level = rng.normal(0, 1.5, n)
    y = np.tile([0, 1], n)
    patient = np.repeat(np.arange(n), 2)
    score = np.repeat(level, 2) + 0.8 * y + rng.normal(0, 0.7, 2 * n)
    error = np.sqrt(covariance(y, score, patient)[1][0, 0])
    draws = Ranking.of(y, score).statistics(PatientDraws.of(n, 2000).counts, patient)[0]
    assert error == pytest.approx(draws.std(), rel=0.06)
    assert np.sqrt(covariance(y, score)[1][0, 0]) > 1.5 * error


@pytest.mark.parametrize("kind", ["distinct", "tied"])
def test_agrees_with_proc(reference, kind):
    r = reference[kind]
    y, a, b = (np.array(r["input"][k]) for k in ("y", "a", "b"))
    one = delong_auc(y, a)
    found = {"auc": one.auc, "variance": one.variance, "low": one.low, "high": one.high}
    assert found == pytest.approx(r["auc"], abs=1e-10)
    two = delong_test(y, a, b)
    assert (two.z, two.p) == pytest.approx((r["paired"]["z"], r["paired"]["p"]), abs=1e-10)
    assert (two.low, two.high) == pytest.approx(tuple(r["paired"]["ci"]), abs=1e-10)
    other = delong_unpaired(y, a, r["input"]["other_y"], r["input"]["other"])
    found = {"D": other.D, "df": other.df, "p": other.p}
    assert found == pytest.approx(r["unpaired"], abs=1e-10)


def test_a_perfect_ranking_says_that_its_interval_is_not_to_be_believed():
    found = delong_auc([0, 0, 1, 1], [1, 2, 3, 4])
    assert (found.auc, found.variance, found.low, found.high) == (1.0, 0.0, 1.0, 1.0)
    assert "no variance" in found.note


def test_the_interval_stays_within_0_and_1():
    y = np.array([0] * 6 + [1] * 6)
    found = delong_auc(y, [1, 2, 3, 4, 5, 7, 6, 8, 9, 10, 11, 12])
    assert found.auc < found.high == 1.0


@pytest.mark.parametrize(
    ("y", "reason"),
    [([], "no rows"), ([1, 1], "one class only: all 2 are positive"), ([0], "all 1 are negative")],
)
def test_without_two_classes_it_is_undefined(y, reason):
    s = np.arange(len(y))
    for found in (
        delong_auc(y, s),
        delong_test(y, s, s),
        delong_unpaired([0, 0, 1, 1], range(4), y, s),
    ):
        assert reason in found.undefined
    assert delong_auc(y, s).auc is None
    assert delong_test(y, s, s).p is None


def test_one_positive_has_an_auroc_but_no_variance():
    found = delong_auc([0, 0, 1], [1, 3, 2])
    assert (found.auc, found.variance, found.low) == (0.5, None, None)
    assert "two patients in each class" in found.undefined


@pytest.mark.parametrize(
    ("y", "s", "match"),
    [
        ([0, 1], [0.1, np.nan], "1 of 2 scores are NaN"),
        ([0, 1], [0.1, np.inf], "NaN or infinite"),
        ([0, 2], [0.1, 0.2], "0 or 1"),
        ([0, np.nan], [0.1, 0.2], "0 or 1"),
        (["a", "b"], [0.1, 0.2], "0 or 1"),
        ([0, 1], ["x", "y"], "numbers"),
        ([0, 1], [0.1], r"shape \(1,\) beside 2"),
        ([[0, 1]], [0.1, 0.2], "one list"),
    ],
)
def test_refuses(y, s, match):
    with pytest.raises(ValueError, match=match):
        delong_auc(y, s)


def test_refuses_a_level_and_patients_that_are_not():
    with pytest.raises(ValueError, match="level 95"):
        delong_auc([0, 0, 1, 1], [1, 3, 2, 4], level=95)
    with pytest.raises(ValueError, match="patients have shape"):
        delong_auc([0, 0, 1, 1], [1, 3, 2, 4], patients=[1, 2])


def test_a_million_rows_cost_less_than_four_times_their_sorting():
    rng = np.random.default_rng(0)
    y = (rng.random(10**6) < 0.4).astype(int)
    a, b = rng.normal(size=(2, y.size)) + y
    delong_test(y[:99], a[:99], b[:99])  # compiled
    ratios = []
    for _ in range(3):
        start = time.process_time()
        np.argsort(a), np.argsort(b)
        sorted_ = time.process_time()
        delong_test(y, a, b)
        ratios.append((time.process_time() - sorted_) / (sorted_ - start))
    assert min(ratios) < 4


def test_the_interval_covers():
    """1000 samples of 120 + 80: the 95% interval holds the truth in 93.5 to 96.5%."""
    rng = np.random.default_rng(11)
    y = np.repeat([0, 1], [120, 80])
    truth = norm.cdf(1 / np.sqrt(2))
    inside = 0
    for _ in range(1000):
        found = delong_auc(y, rng.normal(size=y.size) + y)
        inside += found.low <= truth <= found.high
    assert 0.935 <= inside / 1000 <= 0.965
