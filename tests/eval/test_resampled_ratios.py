"""Twelve metrics of shared draws against scikit-learn on the resampled rows."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn import metrics as sk

from eval.bootstrap import PatientDraws
from eval.resampled_ratios import METRICS, bootstrap_metrics


def theirs(y, p):
    said = p >= 0.5
    se, sp = sk.recall_score(y, said), sk.recall_score(y, said, pos_label=0)
    return {
        "auroc": sk.roc_auc_score(y, p),
        "average_precision": sk.average_precision_score(y, p),
        "sensitivity": se,
        "specificity": sp,
        "ppv": sk.precision_score(y, said),
        "npv": sk.precision_score(y, said, pos_label=0),
        "accuracy": sk.accuracy_score(y, said),
        "balanced_accuracy": sk.balanced_accuracy_score(y, said),
        "youden": se + sp - 1,
        "f1": sk.f1_score(y, said),
        "mcc": sk.matthews_corrcoef(y, said),
        "brier_binary": sk.brier_score_loss(y, p),
    }


def test_values_and_intervals_are_scikit_learns_on_the_same_resamples():
    rng = np.random.default_rng(0)
    z = rng.normal(size=120)
    y, p = (rng.random(120) < expit(z)).astype(int), expit(z)
    column = np.arange(120) // 2
    draws = PatientDraws.of(60, 50, seed=1)
    found = bootstrap_metrics(y, p, 0.5, draws, column)
    assert tuple(found) == METRICS
    assert {k: e.value for k, e in found.items()} == pytest.approx(theirs(y, p), abs=1e-12)
    slow = []
    for counts in draws.counts:
        rows = np.repeat(np.arange(120), counts[column])
        slow.append(list(theirs(y[rows], p[rows]).values()))
    low, high = np.quantile(slow, [0.025, 0.975], axis=0)
    assert [found[k].low for k in METRICS] == pytest.approx(low, abs=1e-12)
    assert [found[k].high for k in METRICS] == pytest.approx(high, abs=1e-12)


def test_undefined_says_why():
    draws = PatientDraws.of(4, 20)
    one = bootstrap_metrics([1, 1], [0.2, 0.9], 0.5, draws, np.arange(2))
    assert all("all 2 are positive" in e.undefined for e in one.values())
    nobody = bootstrap_metrics([0, 1, 0, 1], [0.1, 0.2, 0.3, 0.2], 0.5, draws, np.arange(4))
    assert nobody["ppv"].value is None
    assert "nobody was flagged" in nobody["ppv"].undefined
    lonely = bootstrap_metrics([0, 1, 0, 0], [0.1, 0.7, 0.3, 0.6], 0.5, draws, np.arange(4))
    assert lonely["ppv"].value == 0.5
    assert "too few patients" in lonely["ppv"].undefined


def test_refuses():
    draws = PatientDraws.of(2, 5)
    with pytest.raises(ValueError, match="outside"):
        bootstrap_metrics([0, 1], [0.1, 3.0], 0.5, draws, np.arange(2))
