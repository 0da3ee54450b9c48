"""Metrics of two and more classes against scikit-learn and R; thresholds; other prevalences."""

import numpy as np
import pytest
from scipy.special import expit, softmax
from sklearn import metrics as sk

from eval.metrics import (
    average_precision,
    binary_metrics,
    fixed_threshold,
    multiclass_metrics,
    pr,
    roc,
    sensitivity_threshold,
    youden_threshold,
)


def case(n=300, seed=0, ties=False):
    rng = np.random.default_rng(seed)
    z = rng.normal(-0.3, 1.3, n)
    p = expit(z)
    return (rng.random(n) < p).astype(int), np.round(p, 1) if ties else p


def three(n=240, seed=0, ties=False):
    rng = np.random.default_rng(seed)
    y = rng.integers(3, size=n)
    p = softmax(np.eye(3)[y] * 1.2 + rng.normal(size=(n, 3)), axis=1)
    if ties:
        p = np.round(p * 4) + 0.5
        p /= p.sum(axis=1, keepdims=True)
    return y, p


@pytest.mark.parametrize("ties", [False, True])
def test_binary_is_scikit_learns(ties):
    y, p = case(ties=ties)
    m, said = binary_metrics(y, p, 0.4), p >= 0.4
    expected = {
        "auroc": sk.roc_auc_score(y, p),
        "average_precision": sk.average_precision_score(y, p),
        "brier_binary": sk.brier_score_loss(y, p),
        "sensitivity": sk.recall_score(y, said),
        "specificity": sk.recall_score(y, said, pos_label=0),
        "ppv": sk.precision_score(y, said),
        "npv": sk.precision_score(y, said, pos_label=0),
        "accuracy": sk.accuracy_score(y, said),
        "balanced_accuracy": sk.balanced_accuracy_score(y, said),
        "f1": sk.f1_score(y, said),
    }
    assert {k: getattr(m, k).value for k in expected} == pytest.approx(expected, abs=1e-12)
    assert [m.tn, m.fp, m.fn, m.tp] == sk.confusion_matrix(y, said).ravel().tolist()
    assert m.sensitivity.low < m.sensitivity.value < m.sensitivity.high
    assert average_precision(y, p).value == m.average_precision.value


@pytest.mark.parametrize("ties", [False, True])
def test_curves_are_scikit_learns(ties):
    y, p = case(ties=ties)
    fpr, tpr, at = sk.roc_curve(y, p, drop_intermediate=False)
    ours = roc(y, p)
    for theirs, found in ((fpr, ours.fpr), (tpr, ours.tpr), (at, ours.threshold)):
        assert found == pytest.approx(theirs, abs=1e-12)
    precision, recall, at = sk.precision_recall_curve(y, p)
    ours = pr(y, p)
    assert ours.precision == pytest.approx(precision[:-1][::-1], abs=1e-12)
    assert ours.recall == pytest.approx(recall[:-1][::-1], abs=1e-12)
    assert ours.threshold == pytest.approx(at[::-1], abs=1e-12)
    area = np.diff(np.append(0, ours.recall)) @ ours.precision
    assert area == pytest.approx(average_precision(y, p).value, abs=1e-12)


def test_youden_and_target_sensitivity_by_trying_all():
    y, p = case(ties=True)
    at = np.unique(p)
    sensitivity = np.array([(p[y == 1] >= t).mean() for t in at])
    specificity = np.array([(p[y == 0] < t).mean() for t in at])
    best = youden_threshold(y, p)
    assert best.value == at[np.argmax(sensitivity + specificity)]
    found = sensitivity_threshold(y, p, 0.9)
    assert found.value == at[sensitivity >= 0.9].max()
    assert found.sensitivity == pytest.approx(sensitivity[at == found.value][0])
    assert found.specificity == pytest.approx(specificity[at == found.value][0])
    assert sensitivity_threshold(y, p, 1.0).sensitivity == 1.0


def test_a_threshold_is_not_judged_on_the_rows_it_was_chosen_on():
    y, p = case()
    chosen = youden_threshold(y[:150], p[:150])
    assert binary_metrics(y[150:], p[150:], chosen).threshold == chosen.value
    with pytest.raises(ValueError, match="these very rows"):
        binary_metrics(y[:150][::-1], p[:150][::-1], chosen)
    with pytest.raises(ValueError, match="one class only"):
        binary_metrics(y, p, youden_threshold([1, 1], [0.2, 0.3]))


def test_predictive_values_at_another_prevalence():
    y, p = case(2000)
    m = binary_metrics(y, p, 0.4, prevalence=float(y.mean()))
    assert m.ppv_at_prevalence.value == pytest.approx(m.ppv.value, abs=1e-12)
    assert m.npv_at_prevalence.value == pytest.approx(m.npv.value, abs=1e-12)
    rare = binary_metrics(y, p, 0.4, prevalence=0.05)
    se, sp = rare.sensitivity.value, rare.specificity.value
    bayes = se * 0.05 / (se * 0.05 + (1 - sp) * 0.95)
    e = rare.ppv_at_prevalence
    assert e.value == pytest.approx(bayes, abs=1e-12)
    assert e.low < e.value < e.high < m.ppv.low
    with pytest.raises(ValueError, match="prevalence"):
        binary_metrics(y, p, 0.4, prevalence=5)


def test_predictive_values_cover():
    """1000 samples at prevalence one half, judged at one in ten; sensitivity .8, specificity .7."""
    rng = np.random.default_rng(3)
    y = np.repeat([0, 1], 150)
    truth = 0.08 / (0.08 + 0.27)
    inside = 0
    for _ in range(1000):
        p = np.where(rng.random(300) < np.where(y == 1, 0.8, 0.3), 0.9, 0.1)
        e = binary_metrics(y, p, 0.5, prevalence=0.1).ppv_at_prevalence
        inside += e.low <= truth <= e.high
    assert 0.935 <= inside / 1000 <= 0.965


def test_twins_widen_nothing_less_than_rows_would():
    y, p = case()
    who = np.repeat(np.arange(300), 2)
    twins = binary_metrics(np.repeat(y, 2), np.repeat(p, 2), 0.4, patients=who)
    once, rows = binary_metrics(y, p, 0.4), binary_metrics(np.repeat(y, 2), np.repeat(p, 2), 0.4)
    assert twins.patients == 300
    for name in ("sensitivity", "auroc"):
        width = [getattr(m, name).high - getattr(m, name).low for m in (twins, once, rows)]
        assert width[0] == pytest.approx(width[1], rel=0.02)
        assert width[2] < 0.75 * width[0]


def test_undefined_says_why():
    m = binary_metrics([1, 1], [0.2, 0.7], 0.5, prevalence=0.1)
    assert "all 2 are positive" in m.auroc.undefined
    assert m.specificity.undefined == "nobody is negative"
    assert m.f1.value is None
    assert m.ppv_at_prevalence.value is None
    empty = binary_metrics([], [], 0.5)
    assert {empty.accuracy.undefined, empty.auroc.undefined, empty.ppv.undefined} == {"no rows"}
    assert binary_metrics([0, 1], [0.1, 0.2], 0.5).ppv.undefined == "nobody was flagged"
    assert binary_metrics([0, 1], [0.1, 0.2], 0.0).npv.undefined == "everybody was flagged"
    assert "all 1 are negative" in roc([0], [1]).undefined
    assert pr([], []).undefined == average_precision([], []).undefined == "no rows"


@pytest.mark.parametrize(
    ("y", "p", "at", "match"),
    [
        ([0, 1], [0.1, np.nan], 0.5, "NaN"),
        ([0, 1], [0.1, 2.0], 0.5, "outside"),
        ([0, 1], [0.1], 0.5, "shape"),
        ([0, 5], [0.1, 0.2], 0.5, "0 or 1"),
        ([0, 1], [0.1, 0.2], 1.5, "threshold"),
        ([0, 1], [0.1, 0.2], np.nan, "threshold"),
    ],
)
def test_refuses(y, p, at, match):
    with pytest.raises(ValueError, match=match):
        binary_metrics(y, p, at)


def test_refuses_a_threshold_that_is_none():
    with pytest.raises(ValueError, match="threshold"):
        fixed_threshold(-0.1)
    with pytest.raises(ValueError, match="target"):
        sensitivity_threshold([0, 1], [0.1, 0.2], 90)


@pytest.mark.parametrize("ties", [False, True])
def test_multiclass_is_scikit_learns(ties):
    y, p = three(ties=ties)
    said, m = p.argmax(axis=1), multiclass_metrics(y, p)
    assert np.array_equal(m.confusion, sk.confusion_matrix(y, said))
    expected = {"accuracy": sk.accuracy_score(y, said), "kappa": sk.cohen_kappa_score(y, said)}
    for mean in ("macro", "weighted"):
        scores = sk.precision_recall_fscore_support(y, said, average=mean)
        for name, value in zip(("precision", "recall", "f1"), scores, strict=False):
            expected[f"{name}_{mean}"] = value
    expected["auroc_ovr"] = sk.roc_auc_score(y, p, multi_class="ovr")
    expected["auroc_ovo"] = sk.roc_auc_score(y, p, multi_class="ovo")
    assert {k: getattr(m, k).value for k in expected} == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("kind", ["distinct", "tied"])
def test_kappa_and_its_error_are_vcds(reference, kind):
    r = reference[kind]["kappa"]
    m = multiclass_metrics(r["truth"], np.eye(3)[r["said"]])
    half = 1.959963984540054 * r["error"]
    assert m.kappa.value == pytest.approx(r["value"], abs=1e-10)
    assert m.kappa.low == pytest.approx(r["value"] - half, abs=1e-10)
    assert m.kappa.high == pytest.approx(r["value"] + half, abs=1e-10)


def test_kappa_of_twins_is_resampled_by_patient():
    y, p = three()
    who = np.repeat(np.arange(240), 2)
    once = multiclass_metrics(y, p).kappa
    twins = multiclass_metrics(np.repeat(y, 2), np.repeat(p, 2, axis=0), patients=who).kappa
    assert twins.high - twins.low == pytest.approx(once.high - once.low, rel=0.1)
    assert "patients" in twins.method


def test_a_class_never_seen_or_never_predicted_is_named():
    p = np.tile([0.6, 0.3, 0.1], (4, 1))
    m = multiclass_metrics([0, 0, 1, 1], p)
    assert m.accuracy.value == 0.5
    assert m.precision_macro.undefined == "class 1 was never predicted"
    assert m.recall_macro.undefined == "class 2 has no rows"
    assert m.recall_weighted.value == 0.5
    assert m.auroc_ovr.undefined == m.auroc_ovo.undefined == "class 2 has no rows"
    assert m.kappa.value == 0
    alone = multiclass_metrics([0, 0], p[:2])
    assert "one class" in alone.kappa.undefined
    assert alone.auroc_ovr.value is None
    assert multiclass_metrics([], np.zeros((0, 3))).accuracy.undefined == "no rows"
