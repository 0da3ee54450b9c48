"""Folds, splines, rank correlation, matched pairs and OST, against slow second ways."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.linear_model import LogisticRegression, Ridge

from eval.clinical.folds import folds_that_fit, patient_folds
from eval.clinical.matched import matched_auc
from eval.clinical.scores import ost, ost_band, ost_risk
from eval.clinical.shap import parts
from eval.clinical.spearman import spearman
from eval.clinical.splines import Design, linear, logistic, out_of_fold, restricted_cubic
from eval.delong import delong_auc


def test_ost_is_truncated_towards_zero_and_counts_decimals_as_people_do():
    # Koh's example bands; 70.1 - 65.1 is 4.999... in binary and must still make 1
    assert ost([65.1, 73, 61], [70.1, 50, 60]).tolist() == [1.0, -4.0, 0.0]
    assert ost([73, 61], [50, 60], "plain").tolist() == [-4.6, -0.2]
    assert not np.signbit(ost([61], [60])[0])


def test_ost_bands_turn_at_the_published_numbers():
    age, weight = np.full(6, 70.0), np.array([44.9, 45, 50, 65, 70, np.nan])
    assert ost(age, weight)[:5].tolist() == [-5, -5, -4, -1, 0]
    assert ost_band(age, weight).tolist() == [
        "high",
        "high",
        "moderate",
        "moderate",
        "low",
        "unknown",
    ]
    assert ost_band([70, 70, 70], [50, 75, 80], "white").tolist() == ["high", "moderate", "low"]


def test_ost_risk_is_higher_for_the_old_and_light_and_missing_stays_missing():
    risk = ost_risk([80, 50, np.nan, 60], [45, 80, 70, np.nan])
    assert risk[0] > risk[1]
    assert np.isnan(risk[2:]).all()


@settings(max_examples=40, deadline=None)
@given(st.integers(20, 60), st.integers(2, 5), st.integers(0, 99))
def test_folds_keep_patients_whole_and_kinds_even(n, folds, seed):
    rng = np.random.default_rng(seed)
    patient = rng.integers(0, n, 3 * n)
    label = (rng.random(3 * n) < 0.3).astype(int)
    if folds_that_fit(patient, label, folds) < folds:
        return
    fold = patient_folds(patient, label, folds, seed)
    sick = {p: label[patient == p].max() for p in np.unique(patient)}
    of = {p: set(fold[patient == p]) for p in sick}
    assert all(len(f) == 1 for f in of.values())
    for kind in (0, 1):
        counts = np.bincount([min(of[p]) for p in sick if sick[p] == kind], minlength=folds)
        assert counts.max() - counts.min() <= 1
    order = rng.permutation(3 * n)
    assert (patient_folds(patient[order], label[order], folds, seed) == fold[order]).all()


def test_folds_that_cannot_be_made_are_refused():
    with pytest.raises(ValueError, match="ask for fewer folds"):
        patient_folds([1, 2, 3, 4], [1, 0, 0, 0], 2)
    with pytest.raises(ValueError, match="at least 2"):
        patient_folds([1, 2], [1, 0], 1)
    assert folds_that_fit([1, 2, 3, 4], [1, 0, 0, 0]) == 1


def test_logistic_and_linear_are_sklearns():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 4))
    y = (x @ [1, -0.5, 0, 0.2] + rng.normal(0, 1, 400) > 0.3).astype(float)
    theirs = LogisticRegression(C=1.0, tol=1e-10, max_iter=1000).fit(x, y)
    expected = np.concatenate([theirs.intercept_, theirs.coef_[0]])
    assert logistic(x, y) == pytest.approx(expected, abs=1e-5)
    ridge = Ridge(alpha=1.0).fit(x, y)
    assert linear(x, y) == pytest.approx(np.concatenate([[ridge.intercept_], ridge.coef_]))


def test_logistic_is_finite_where_a_column_separates_the_classes():
    x = np.array([[-1.0], [-1.0], [1.0], [1.0]] * 50)
    b = logistic(x, (x[:, 0] > 0).astype(float))
    assert np.isfinite(b).all()
    assert b[1] > 1


def test_restricted_cubic_splines_are_linear_beyond_the_knots_and_smooth_at_them():
    knots = np.array([50.0, 60, 65, 70, 80])
    x = np.linspace(20, 120, 100_001)
    columns = restricted_cubic(x, knots)
    assert columns.shape[1] == 4
    second = np.diff(columns, 2, axis=0) / np.diff(x)[0] ** 2
    inside = (x[1:-1] > 50) & (x[1:-1] < 80)
    assert np.abs(second[~inside]).max() < 1e-3
    assert np.abs(second[inside][:, 1:]).max() > 0.01
    assert np.abs(np.diff(second, axis=0)).max() < 1e-3  # no jump of the second derivative
    assert restricted_cubic(x, knots[:2]).shape[1] == 1


def test_out_of_fold_learns_knots_levels_and_coefficients_from_the_other_folds_alone():
    rng = np.random.default_rng(1)
    n = 300
    age, site = rng.uniform(50, 80, n), rng.choice(["a", "b"], n)
    y = (rng.random(n) < 0.4).astype(float)
    fold = np.arange(n) % 3
    found = out_of_fold({"age": age, "site": site}, y, fold, logistic)
    here = fold == 1
    # change everything about fold 1 but its covariates: its own predictions stay
    again = out_of_fold({"age": age, "site": site}, np.where(here, 1 - y, y), fold, logistic)
    assert (again[here] == found[here]).all()
    assert (again[~here] != found[~here]).all()
    # and its covariates do not decide where the others' knots are
    design, _ = Design.of({"age": age[~here]})
    assert design.knots["age"] == pytest.approx(
        np.quantile(age[~here], [0.05, 0.275, 0.5, 0.725, 0.95])
    )


def test_a_level_never_seen_in_training_is_taken_as_the_most_frequent():
    design, _ = Design.of({"site": np.array(["a"] * 21 + ["b"] * 20)})
    columns = design.columns({"site": np.array(["a", "b", "c"])})
    assert columns[2] == columns[0] != columns[1]


def test_only_frequent_levels_get_columns():
    values = np.array([f"s{i % 50:02d}" for i in range(600)] + ["once", "twice", "twice"])
    design, columns = Design.of({"site": values})
    assert columns.shape == (603, 30)
    assert design.levels["site"][0] == "s01"


def test_spearman_is_scipys_with_ties():
    rng = np.random.default_rng(2)
    x, y = rng.integers(0, 8, 200), rng.integers(0, 5, 200)
    y = y + x
    assert spearman(x, y).value == pytest.approx(spearmanr(x, y).statistic, abs=1e-12)
    assert spearman(x, -y).value == pytest.approx(-spearman(x, y).value)


def test_spearmans_variance_is_that_of_the_jackknife():
    """Also with ties; the jackknife leaves out a patient and ranks the rest anew."""
    rng = np.random.default_rng(3)
    patient = np.repeat(np.arange(150), 2)
    own = np.repeat(rng.normal(size=150), 2)
    x = np.round(own + rng.normal(0, 0.5, 300), 1)
    y = np.round(own + rng.normal(0, 0.8, 300), 1)
    left = [spearmanr(x[patient != p], y[patient != p]).statistic for p in range(150)]
    jackknife = np.sqrt(149 / 150 * ((left - np.mean(left)) ** 2).sum())
    e = spearman(x, y, patient)
    error = (np.arctanh(e.high) - np.arctanh(e.low)) / 2 / 1.959964 * (1 - e.value**2)
    assert error == pytest.approx(jackknife, rel=0.03)


def test_spearman_says_why_there_is_none():
    assert "too few" in spearman([1, 2, 3], [1, 2, 3]).undefined
    assert "one value" in spearman(np.ones(20), np.arange(20)).undefined
    line = spearman(np.arange(20), np.arange(20))
    assert line.value == 1
    assert line.low is None


def slow_matched(y, s, age, sex, years):
    won = pairs = 0
    for i in np.flatnonzero(y == 1):
        for j in np.flatnonzero(y == 0):
            if sex[i] == sex[j] != "" and abs(age[i] - age[j]) <= years + 1e-9:
                pairs += 1
                won += (s[i] > s[j]) + 0.5 * (s[i] == s[j])
    return won, pairs


@pytest.mark.parametrize("seed", range(4))
def test_matched_pairs_are_those_of_two_loops(seed):
    rng = np.random.default_rng(seed)
    n = 120
    y, s = rng.integers(0, 2, n), rng.integers(0, 9, n).astype(float)
    age = rng.uniform(50, 70, n).round(1)
    age[:5] = np.nan
    sex = rng.choice(["F", "M", ""], n, p=[0.5, 0.4, 0.1])
    won, pairs = slow_matched(y, s, age, sex, 2.0)
    m = matched_auc(y, s, age, sex)
    assert m.pairs == pairs
    assert m.auroc.value == pytest.approx(won / pairs, abs=1e-12)
    assert m.auroc.low < m.auroc.value < m.auroc.high


def test_with_everybody_matched_it_is_the_plain_auroc_and_nearly_delongs_interval():
    rng = np.random.default_rng(5)
    y = rng.integers(0, 2, 400)
    s = y + rng.normal(0, 1.2, 400)
    m = matched_auc(y, s, np.full(400, 60.0), np.full(400, "F"))
    d = delong_auc(y, s)
    assert m.pairs == m.of_pairs
    assert m.auroc.value == pytest.approx(d.auc)
    assert m.auroc.high - m.auroc.low == pytest.approx(d.high - d.low, rel=0.02)


def test_matched_intervals_cover_the_truth():
    """Scores of age and noise: the truth is a half; 400 samples of 150 patients, two rows each."""
    held = 0
    for seed in range(400):
        rng = np.random.default_rng(seed)
        age = np.repeat(rng.uniform(50, 80, 150), 2)
        y = (np.repeat(rng.random(150), 2) < (age - 40) / 60).astype(int)
        s = age + np.repeat(rng.normal(0, 5, 150), 2) + rng.normal(0, 1, 300)
        m = matched_auc(y, s, age, np.full(300, "F"), np.arange(300) // 2, years=1.0)
        held += m.auroc.low <= 0.505 and m.auroc.high >= 0.495
    assert 0.925 <= held / 400 <= 0.98


def test_nobody_alike_is_said():
    m = matched_auc([1, 0], [0.5, 0.4], [50, 80], ["F", "F"])
    assert "within 2 years" in m.auroc.undefined
    assert matched_auc([1, 1], [0.5, 0.4], [50, 51], ["F", "F"]).auroc.undefined.startswith(
        "one class"
    )
    assert matched_auc([], [], [], []).auroc.undefined == "no rows"


def test_shap_of_few_is_kept_back_with_what_it_could_be_told_from():
    rng = np.random.default_rng(0)
    sex = np.r_[np.zeros(40), np.ones(3)]
    patient = np.arange(43).astype(str)
    shap = rng.normal(size=43)
    # all but the three men are women: their number less the others would be the men
    assert parts("sex", sex, shap, patient) == ()
    (women,) = parts("sex", sex[:40], shap[:40], patient[:40])
    assert (women.label, women.rows) == ("women", 40)
    assert women.mean == pytest.approx(shap[:40].mean())
    unknown = np.r_[np.full(2, np.nan), rng.uniform(50, 80, 41)]
    said = parts("age", unknown, shap, patient)
    assert sum(p.rows for p in said) <= 43 - 5
    assert "unknown" not in [p.label for p in said]
