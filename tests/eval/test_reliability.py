"""ECE by hand, bins at their edges, and the logistic recalibration against scikit-learn."""

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from eval.bootstrap import PatientDraws
from eval.performance import Cases
from eval.reliability import calibration, reliability


def cases(p, y):
    p, y = np.asarray(p, float), np.asarray(y)
    return Cases(np.arange(y.size), y, p, 0.5, PatientDraws.of(y.size, 10))


def drawn(n=4000, slope=1.0, shift=0.0, seed=0):
    rng = np.random.default_rng(seed)
    z = rng.normal(0, 1.5, n)
    return cases(expit(z), (rng.random(n) < expit(slope * z + shift)).astype(int))


def test_bins_are_open_below_and_closed_above():
    counts = [b.n for b in reliability(cases([0.0, 0.1, 0.1000001, 0.3, 1.0], [0, 0, 1, 0, 1]))]
    assert counts == [2, 1, 1, 0, 0, 0, 0, 0, 0, 1]  # 0.3 in (0.2, 0.3], 0 in the first


def test_ece_of_the_positive_class_by_hand():
    # (0.1, 0.2]: mean .15, observed .5, n 2; (0.8, 0.9]: mean .9, observed 1, n 1
    found = calibration(cases([0.12, 0.18, 0.9], [0, 1, 1]))
    assert found.ece_positive_class.value == pytest.approx((2 * 0.35 + 0.1) / 3)


def test_honest_probabilities():
    found = calibration(drawn())
    assert found.slope.low < 1 < found.slope.high
    assert found.in_the_large.low < 0 < found.in_the_large.high
    assert found.ece_positive_class.value < 0.03


def test_slope_and_intercept_are_those_of_an_unpenalised_logistic_regression():
    c = drawn(800, slope=0.6, shift=0.4)
    theirs = LogisticRegression(C=np.inf, tol=1e-10).fit(logit(c.probability)[:, None], c.label)
    assert calibration(c).slope.value == pytest.approx(theirs.coef_[0, 0], abs=1e-5)


def test_in_the_large_makes_the_mean_right():
    c = drawn(500, shift=0.8)
    shift = calibration(c).in_the_large.value
    assert expit(logit(c.probability) + shift).mean() == pytest.approx(c.label.mean(), abs=1e-9)


@pytest.mark.parametrize(
    ("p", "y", "reason"),
    [
        ([0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1], "separate"),
        ([0.4, 0.4, 0.4], [0, 1, 1], "same"),
        ([0.4, 0.6], [1, 1], "one class only"),
        ([], [], "nobody"),
    ],
)
def test_undefined_slope_says_why(p, y, reason):
    found = calibration(cases(p, np.array(y, int))).slope
    assert found.value is None
    assert reason in found.undefined


def test_certain_and_wrong_stays_finite():
    found = calibration(cases([0.0, 1.0, 0.0, 1.0, 0.5], [1, 0, 0, 1, 1]))
    assert np.isfinite(found.in_the_large.value)


def test_external_data_have_as_many_degrees_of_freedom_as_groups():
    outside, inside = (calibration(drawn(), external) for external in (True, False))
    assert outside.hosmer_lemeshow.chi2 == inside.hosmer_lemeshow.chi2
    assert (outside.hosmer_lemeshow.df, inside.hosmer_lemeshow.df) == (10, 8)
    assert (outside.external, inside.external) == (True, False)
    assert outside.hosmer_lemeshow.p > 0.01


def test_distances_are_small_where_probabilities_are_honest():
    honest, shifted = calibration(drawn()), calibration(drawn(shift=0.8))
    assert 0 < honest.e50.value <= honest.e90.value <= honest.emax.value
    assert honest.ici.value < 0.03 < 0.08 < shifted.ici.value
    assert shifted.hosmer_lemeshow.p < 1e-6
    assert shifted.intercept.value == pytest.approx(0.8, abs=0.15)
    assert "one class only" in calibration(cases([0.4, 0.6], [1, 1])).ici.undefined
