"""DeLong against an O(mn) second implementation, its known properties, and coverage by patient."""

import numpy as np
import pytest

from eval.bootstrap import PatientDraws
from eval.delong import covariance, paired_test
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
    test = paired_test(y, s[0], s[0])
    assert (test.difference, test.z, test.p) == (0.0, 0.0, 1.0)


def test_a_monotone_transform_changes_nothing():
    y, s = scores(60, 1)
    assert paired_test(y, s[0], np.exp(s[0])).p == 1.0


def test_perfect_has_no_variance_and_no_p():
    y = np.array([0, 0, 0, 1, 1, 1])
    auroc, cov = covariance(y, [y, -y])
    assert auroc.tolist() == [1.0, 0.0]
    assert not cov.any()
    test = paired_test(y, -y, y)
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
    alone = paired_test(y, *s)
    twins = paired_test(np.repeat(y, 2), *np.repeat(s, 2, axis=1), np.repeat(np.arange(120), 2))
    naive = paired_test(np.repeat(y, 2), *np.repeat(s, 2, axis=1))
    assert twins.error == pytest.approx(alone.error, rel=1e-9)
    assert naive.error < 0.75 * alone.error


def test_p_is_uniform_when_two_models_are_equally_good():
    rng = np.random.default_rng(5)
    y = np.repeat([0, 1], 60)
    p = [paired_test(y, *(y + rng.normal(size=(2, 120)))).p for _ in range(400)]
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
