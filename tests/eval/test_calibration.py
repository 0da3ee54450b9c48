"""Calibration against R (glm, loess, cut), scikit-learn, and by hand; input gone wrong."""

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.calibration import calibration_curve
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from eval.calibration import (
    brier,
    calibration_line,
    ece,
    fit_isotonic,
    fit_temperature,
    hosmer_lemeshow,
    ici,
    multiclass_brier,
    top_label_ece,
)


@pytest.fixture(params=["distinct", "tied"])
def r(request, reference):
    found = reference[request.param]
    return found | {"y": np.array(found["input"]["y"]), "p": np.array(found["input"]["a"])}


def test_hosmer_lemeshow_is_rs(r):
    for p, theirs in (
        (r["p"], r["hosmer"]),
        (np.clip(np.round(r["p"] * 5) / 5, 0.05, 0.95), r["hosmer_coarse"]),
    ):
        found = hosmer_lemeshow(r["y"], p)
        assert [g.n for g in found.table] == theirs["n"]
        assert (found.chi2, found.p) == pytest.approx((theirs["chi2"], theirs["p"]), abs=1e-10)
        assert found.df == theirs["groups"] - 2
        outside = hosmer_lemeshow(r["y"], p, external=True)
        assert outside.df == theirs["groups"]
        assert outside.p == pytest.approx(theirs["p_external"], abs=1e-10)


def test_the_order_of_ties_changes_nothing():
    rng = np.random.default_rng(0)
    p = np.round(rng.uniform(0.1, 0.9, 500), 1)
    y = (rng.random(500) < p).astype(int)
    order = rng.permutation(500)
    found, again = hosmer_lemeshow(y, p), hosmer_lemeshow(y[order], p[order])
    assert again.chi2 == pytest.approx(found.chi2, abs=1e-9)
    assert sum(g.n for g in found.table) == 500
    assert len(found.table) < 10


def test_hosmer_lemeshow_of_honest_external_probabilities_rejects_one_in_twenty():
    rng = np.random.default_rng(1)
    p = rng.uniform(0.1, 0.9, (1000, 400))
    y = (rng.random(p.shape) < p).astype(int)
    rejected = [hosmer_lemeshow(a, b, external=True).p < 0.05 for a, b in zip(y, p, strict=True)]
    assert 0.035 <= np.mean(rejected) <= 0.065


def test_calibration_line_is_rs(r):
    found = calibration_line(r["y"], r["p"])
    ours = {k: getattr(found, k).value for k in r["line"]}
    assert ours == pytest.approx(r["line"], abs=1e-10)


def test_ici_is_that_of_rs_loess(r):
    found = ici(r["y"], r["p"])
    ours = {k: getattr(found, k) for k in r["ici"]}
    assert ours == pytest.approx(r["ici"], abs=1e-6)


def test_ici_of_many_points_is_near_nothing_where_probabilities_are_honest():
    rng = np.random.default_rng(2)
    p = rng.random(20_000)
    y = (rng.random(20_000) < p).astype(int)
    assert ici(y, p).ici < 0.01
    assert 0.07 < ici(y, np.clip(p + 0.1, 0, 1)).ici < 0.11


def test_two_briers():
    y, p = np.array([0, 1, 1]), np.array([0.2, 0.7, 0.4])
    both = np.stack([1 - p, p], axis=1)
    assert brier(y, p).value == pytest.approx((0.04 + 0.09 + 0.36) / 3)
    assert multiclass_brier(y, both).value == pytest.approx(2 * brier(y, p).value)
    assert "binary" in brier(y, p).method
    assert "summed over classes" in multiclass_brier(y, both).method


def test_two_eces():
    y, p = np.array([0, 1, 1, 0]), np.array([0.12, 0.18, 0.9, 0.3])
    assert ece(y, p).value == pytest.approx((2 * abs(0.5 - 0.15) + 0.1 + 0.3) / 4)
    both = np.stack([1 - p, p], axis=1)
    # confidences .88, .82, .9, .7: (.8, .9] holds three, two of them right
    expected = (abs(2 - (0.88 + 0.82 + 0.9)) + 0.3) / 4
    assert top_label_ece(y, both).value == pytest.approx(expected)
    assert "positive class" in ece(y, p).method
    assert "top label" in top_label_ece(y, both).method


def test_ece_from_scikit_learns_reliability_curve():
    rng = np.random.default_rng(3)
    p = rng.random(700)
    y = (rng.random(700) < p**2).astype(int)
    observed, predicted = calibration_curve(y, p, n_bins=10)
    n = np.histogram(p, np.linspace(0, 1, 11))[0]
    assert ece(y, p).value == pytest.approx(np.abs(observed - predicted) @ n / 700, abs=1e-12)


def test_bins_are_open_below_and_closed_above():
    assert ece([0, 1], [0.3, 0.30000001]).value == pytest.approx((0.3 + 0.69999999) / 2)
    assert ece([0, 1], [0.3, 0.25]).value == pytest.approx(abs(0.5 - 0.275))


def test_temperature_is_a_logistic_regression_without_intercept():
    rng = np.random.default_rng(4)
    z = rng.normal(0, 3, 900)
    y = (rng.random(900) < expit(z / 2)).astype(int)
    theirs = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-10).fit(z[:, None], y)
    found = fit_temperature(y, expit(z))
    assert 1 / found.value == pytest.approx(theirs.coef_[0, 0], abs=1e-4)
    both = np.stack([1 - expit(z), expit(z)], axis=1)
    assert fit_temperature(y, both).value == pytest.approx(found.value, abs=1e-6)
    assert found.apply(expit(z)) == pytest.approx(expit(z / found.value), abs=1e-9)
    assert found.apply(both)[:, 1] == pytest.approx(found.apply(expit(z)), abs=1e-12)


def test_isotonic_is_scikit_learns_and_is_kept_as_points():
    rng = np.random.default_rng(5)
    p = np.round(rng.random(400), 2)
    y = (rng.random(400) < p**2).astype(int)
    new = rng.random(50)
    theirs = IsotonicRegression(out_of_bounds="clip").fit(p, y).predict(new)
    assert fit_isotonic(y, p).apply(new) == pytest.approx(theirs, abs=1e-12)


def test_recalibration_helps_on_other_data():
    rng = np.random.default_rng(6)
    z = rng.normal(0, 3, 4000)
    y, p = (rng.random(4000) < expit(z / 2)).astype(int), expit(z)
    tune, test = slice(2000), slice(2000, None)
    for fit in (fit_temperature, fit_isotonic):
        better = fit(y[tune], p[tune]).apply(p[test])
        assert ece(y[test], better).value < 0.6 * ece(y[test], p[test]).value


def test_undefined_says_why():
    for function in (brier, ece):
        assert function([], []).undefined == "no rows"
    assert multiclass_brier([], np.zeros((0, 3))).undefined == "no rows"
    assert top_label_ece([], np.zeros((0, 3))).undefined == "no rows"
    assert hosmer_lemeshow([], []).undefined == "no rows"
    assert "fewer than 3" in hosmer_lemeshow([0, 1] * 9, [0.2, 0.5] * 9).undefined
    assert "expects nobody" in hosmer_lemeshow([0, 1, 1] * 6, [0.0, 0.5, 1.0] * 6).undefined
    assert "all 2 are positive" in calibration_line([1, 1], [0.5, 0.6]).slope.undefined
    assert "same" in calibration_line([0, 1], [0.5, 0.5]).slope.undefined
    assert "separate" in calibration_line([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9]).slope.undefined
    assert "too few" in ici([0, 1], [0.5, 0.6]).undefined
    assert "all 1 are negative" in ici([0], [0.5]).undefined
    assert "separate" in fit_temperature([0, 1], [0.1, 0.9]).undefined
    assert "reverse" in fit_temperature([0, 1, 0], [0.9, 0.1, 0.5]).undefined
    assert "one class" in fit_temperature([1, 1], [0.1, 0.9]).undefined
    assert "one class" in fit_isotonic([1, 1], [0.1, 0.9]).undefined
    for none in (fit_temperature([1, 1], [0.1, 0.9]), fit_isotonic([], [])):
        with pytest.raises(ValueError, match="no "):
            none.apply([0.5])


@pytest.mark.parametrize(
    "function", [brier, ece, hosmer_lemeshow, calibration_line, ici, fit_temperature, fit_isotonic]
)
def test_refuses(function):
    for y, p in (
        ([0, 1], [0.1, np.nan]),
        ([0, 1], [0.1, 1.01]),
        ([0, 1], [-0.1, 0.5]),
        ([0, 1], [0.1]),
        ([0, 7], [0.1, 0.2]),
    ):
        with pytest.raises(ValueError, match=r"NaN|outside|shape|labels"):
            function(y, p)


@pytest.mark.parametrize("function", [multiclass_brier, top_label_ece])
def test_refuses_what_are_not_probabilities_of_classes(function):
    for y, p in (
        ([0, 1], [[0.5, 0.5]]),
        ([0, 1], [0.5, 0.5]),
        ([0], [[0.5, 0.6]]),
        ([0], [[np.nan, 0.6]]),
        ([2], [[0.4, 0.6]]),
    ):
        with pytest.raises(ValueError, match=r"need|sum|NaN|classes"):
            function(y, p)


def test_logits_are_recognised():
    with pytest.raises(ValueError, match="sigmoid"):
        brier([0, 1], logit([0.1, 0.9]))


def test_refuses_bins_and_groups_that_cannot_be():
    with pytest.raises(ValueError, match="bins"):
        ece([0, 1], [0.1, 0.2], bins=0)
    with pytest.raises(ValueError, match="groups"):
        hosmer_lemeshow([0, 1], [0.1, 0.2], groups=2)
