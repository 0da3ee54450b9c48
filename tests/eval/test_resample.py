"""The bootstrap against a slow loop, its redraws and strata, its coverage, and input gone wrong."""

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from eval.intervals import bootstrap, bootstrap_auc


def case(n=60, seed=0, repeats=1, prevalence=0.4):
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < prevalence).astype(int)
    y[:4] = 0, 1, 0, 1
    s = np.round(rng.normal(np.repeat(y, repeats), 1.0), 1)
    return np.repeat(y, repeats), s, np.repeat(np.arange(n), repeats)


@pytest.mark.parametrize("stratified", [False, True])
@pytest.mark.parametrize("repeats", [1, 3])
def test_the_fast_path_is_the_slow_one(repeats, stratified):
    y, s, who = case(repeats=repeats)
    options = {"patients": who, "stratify": y if stratified else None, "n": 80, "seed": 3}
    slow = bootstrap(roc_auc_score, (y, s), **options)
    fast = bootstrap_auc(y, s, **options)
    assert fast.draws == pytest.approx(slow.draws, abs=1e-12)
    assert (fast.value, fast.low, fast.high) == pytest.approx((slow.value, slow.low, slow.high))


def test_resamples_of_one_class_are_drawn_again_and_counted():
    y, s = np.array([1, 1] + [0] * 14), np.arange(16) % 5
    slow, fast = bootstrap(roc_auc_score, (y, s), n=200), bootstrap_auc(y, s, n=200)
    assert fast.redrawn == slow.redrawn > 10
    assert fast.draws == pytest.approx(slow.draws, abs=1e-12)
    assert bootstrap_auc(y, s, stratify=y, n=200).redrawn == 0


def test_rows_of_a_patient_stay_together():
    """Of three patients with all rows alike, every mean is a third of whole counts."""
    x = np.repeat([0.0, 1.0, 5.0], 10)
    found = bootstrap(np.mean, x, patients=np.repeat([7, 8, 9], 10), n=50)
    assert np.allclose(found.draws * 3, np.round(found.draws * 3))
    assert found.error > bootstrap(np.mean, x, n=50).error


def test_same_seed_same_interval():
    y, s, _ = case()
    assert bootstrap_auc(y, s, seed=1).low == bootstrap_auc(y, s, seed=1).low
    assert bootstrap_auc(y, s, seed=1).low != bootstrap_auc(y, s, seed=2).low


def test_strata_keep_their_size():
    y, s, _ = case()
    share = bootstrap(lambda y, s: y.mean(), (y, s), stratify=y, n=40)
    assert np.ptp(share.draws) < 1e-12
    assert "same value" in share.undefined


def test_undefined_says_why():
    assert bootstrap_auc([], []).undefined == "no rows"
    assert bootstrap(np.mean, []).undefined == "no rows"
    assert "all 2 are positive" in bootstrap_auc([1, 1], [0, 1]).undefined
    lonely = bootstrap_auc([1, 0, 0], [2, 1, 3])
    assert (lonely.value, lonely.low) == (0.5, None)
    assert "too few patients" in lonely.undefined
    assert "one patient" in bootstrap(np.mean, [1.0, 2.0], patients=[1, 1]).undefined
    assert "themselves" in bootstrap(lambda x: np.nan, [1.0, 2.0]).undefined


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: bootstrap(np.mean, ([1, 2], [1])), "parallel"),
        (lambda: bootstrap(np.mean, 3.0), "parallel"),
        (lambda: bootstrap(np.mean, [1, 2], n=0), "at least one"),
        (lambda: bootstrap(np.mean, [1, 2], level=2), "level"),
        (lambda: bootstrap(np.mean, [1, 2], patients=[1]), "patients"),
        (lambda: bootstrap(np.mean, [1, 2], patients=[1, 1], stratify=[0, 1]), "two strata"),
        (lambda: bootstrap_auc([0, 1], [np.nan, 1]), "NaN"),
        (lambda: bootstrap_auc([0, 3], [1, 1]), "0 or 1"),
    ],
)
def test_refuses(call, match):
    with pytest.raises(ValueError, match=match):
        call()


def test_the_clustered_interval_covers_where_that_of_rows_does_not():
    """1000 cohorts of 150 people with 4 pictures each: 95% by patients, far less by rows."""
    rng = np.random.default_rng(4)
    people, pictures = 150, 4
    y = np.repeat(np.arange(people) < 60, pictures).astype(int)
    who = np.repeat(np.arange(people), pictures)
    # a picture's score: class (1), person (sd 1), picture (sd 0.5)
    truth = norm.cdf(1 / np.sqrt(2 * (1 + 0.25)))
    by_patient = by_row = 0
    for i in range(1000):
        s = y + np.repeat(rng.normal(size=people), pictures) + rng.normal(0, 0.5, y.size)
        clustered = bootstrap_auc(y, s, patients=who, n=400, seed=i)
        naive = bootstrap_auc(y, s, n=200, seed=i)
        by_patient += clustered.low <= truth <= clustered.high
        by_row += naive.low <= truth <= naive.high
    assert 0.935 <= by_patient / 1000 <= 0.965
    assert by_row / 1000 < 0.80
