"""Against a known world: what the combined model gains, and that it gains nothing of nothing.

Null interval: if scores do not know the labels, AUROC x m x n is Mann and Whitney's U, of mean mn/2
and variance mn(m + n + 1)/12. With k looks each has level 0.01/k, two-sided (Bonferroni).
"""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.spatial import cKDTree
from scipy.stats import norm

from data_sharding.phantom.patients import LATENT_SD, SITE_NOISE, latent_mean, site_means
from eval.clinical.combined import (
    OutOfSample,
    combined_out_of_fold,
    fit_combined,
    with_score,
)
from eval.clinical.folds import patient_folds
from eval.clinical.model import fit_clinical
from eval.delong import delong_auc, delong_test
from tests.eval.phantom_people import NOISE, posterior, world

OTHERS = frozenset({"z"})


def honest(rows):
    return OutOfSample.one_model("image", OTHERS, len(rows))


def labels(rows):
    return rows["label"].to_numpy(int)


def test_the_best_answer_is_the_integral_it_says():
    age, female, bmi, seen = 70.0, True, 22.0, -2.1
    prior = latent_mean(np.array([age]), np.array([female]), np.array([bmi]))[0]

    def joint(latent):
        return norm.pdf(latent, prior, LATENT_SD) * norm.pdf(seen, latent, NOISE)

    def low(latent):
        mean = site_means(np.array([latent]), np.array([age]))[0]
        return joint(latent) * (1 - norm.sf(-2.45, mean, SITE_NOISE).prod())

    expected = quad(low, -9, 6)[0] / quad(joint, -9, 6)[0]
    found = posterior(np.array([seen]), np.array([age]), np.array([female]), np.array([bmi]))
    assert found[0] == pytest.approx(expected, rel=1e-7)


def test_the_best_answer_is_calibrated_in_the_world_it_is_of():
    rows = world(40_000, 1)
    y, p = labels(rows), rows["best"].to_numpy()
    for low, high in ((0, 0.1), (0.1, 0.3), (0.3, 0.6), (0.6, 1)):
        here = (p >= low) & (p < high)
        error = np.sqrt((p * (1 - p))[here].sum()) / here.sum()
        assert abs(y[here].mean() - p[here].mean()) < 4 * error


@pytest.mark.parametrize("seed", [0, 1])
def test_the_combined_gain_is_within_the_interval_of_the_gain_from_the_latent(seed):
    train, test = world(8000, 10 + seed), world(4000, 20 + seed, prefix="q")
    model = fit_combined(train, train["image"], honest(train))
    combined = model.predict(with_score(test, test["image"]))
    y, image = labels(test), test["image"].to_numpy()
    best = delong_test(y, test["best"].to_numpy(), image)
    gain = delong_auc(y, combined).auc - delong_auc(y, image).auc
    assert best.low > 0  # a combined model that gained nothing would be found out
    assert best.low < gain < best.high
    # nor does it beat what cannot be beaten
    assert delong_test(y, combined, test["best"].to_numpy()).low <= 0
    clinical = fit_clinical(train).predict(test)
    assert delong_test(y, combined, clinical).low > 0


def remembered(train, seen_by, rows, k=5):
    """An image model that remembers: the share of positives among the k nearest pictures.

    Each picture is six numbers of which one is the image score; k-1 of a seen picture's nearest
    are others and one is itself.
    """
    tree = cKDTree(pictures(train)[seen_by])
    near = tree.query(pictures(rows), k)[1]
    return (labels(train)[seen_by][near].sum(axis=1) + 0.5) / (k + 1)


def pictures(rows):
    codes = [int(p[1:]) for p in rows["patient"]]
    noise = np.stack([np.random.default_rng((c, 5)).normal(size=5) for c in codes])
    return np.column_stack([noise, 3 * rows["image"].to_numpy()])


def null(y, looks):
    """The interval that a score without knowledge keeps within, at 0.01 for all looks."""
    m, n = y.sum(), (1 - y).sum()
    half = norm.ppf(1 - 0.005 / looks) * np.sqrt((m + n + 1) / (12 * m * n))
    return 0.5 - half, 0.5 + half


SEEDS = range(4)


def shuffled_world(seed):
    """Everybody's labels shuffled, an image model for each fold that learnt from the others."""
    rng = np.random.default_rng(100 + seed)
    train, test = world(500, 30 + seed), world(600, 40 + seed, prefix="q")
    for rows in (train, test):
        rows["label"] = rng.permutation(rows["label"])
    fold = patient_folds(train["patient"], train["label"], 5, seed)
    out = np.empty(len(train))
    for k in range(5):
        out[fold == k] = remembered(train, fold != k, train[fold == k])
    mean = np.mean([remembered(train, fold != k, test) for k in range(5)], axis=0)
    return train, test, fold, out, mean


@pytest.mark.parametrize("seed", SEEDS)
def test_shuffled_labels_give_a_combined_auroc_within_the_null_interval(seed):
    train, test, fold, out, mean = shuffled_world(seed)
    proof = OutOfSample.of_folds(fold, train["patient"])
    model = fit_combined(train, out, proof)
    found = delong_auc(labels(test), model.predict(with_score(test, mean))).auc
    low, high = null(labels(test), len(SEEDS))
    assert low < found < high
    # of the training rows themselves a leak would raise it; cross-fitting may lower it a little
    crossed = combined_out_of_fold(train, out, proof, folds=3).probability
    assert delong_auc(labels(train), crossed).auc < null(labels(train), len(SEEDS))[1]


def test_scores_of_models_that_saw_the_patient_would_leave_the_null_interval():
    """So that the test before is one: the same, with a proof that lies."""
    train, *_ = shuffled_world(0)
    everybody = np.ones(len(train), bool)
    leaky = remembered(train, everybody, train)
    lie = OutOfSample.one_model("image", OTHERS, len(train))
    crossed = combined_out_of_fold(train, leaky, lie, folds=3).probability
    assert delong_auc(labels(train), crossed).auc > null(labels(train), 1)[1]
    truth = OutOfSample.one_model("image", train["patient"], len(train))
    with pytest.raises(ValueError, match="trained on them"):
        combined_out_of_fold(train, leaky, truth, folds=3)
