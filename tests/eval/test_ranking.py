"""AUROC, AP and their bootstrap against scikit-learn and against slow second implementations."""

import time

import numpy as np
import pytest
from sklearn import metrics as sk

from eval.bootstrap import PatientDraws, of_sums, percentile
from eval.intervals import bootstrap_auc
from eval.ranking import Ranking


def case(n, seed, ties):
    rng = np.random.default_rng(seed)
    label = (rng.random(n) < 0.4).astype(int)
    label[:2] = 0, 1
    score = label + rng.normal(0, 1.2, n)
    return label, np.round(score * 2) / 2 if ties else score


def brute_auroc(label, score):
    pairs = score[label == 1][:, None] - score[label == 0][None]
    return ((pairs > 0) + 0.5 * (pairs == 0)).mean()


def once(label, score):
    counts = np.ones((1, label.size), np.int16)
    return [v[0] for v in Ranking.of(label, score).statistics(counts, np.arange(label.size))]


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("n", [2, 5, 60, 500])
def test_one_draw_of_everybody_is_the_statistic(n, ties):
    label, score = case(n, n, ties)
    auroc, precision = once(label, score)
    assert auroc == pytest.approx(brute_auroc(label, score), abs=1e-12)
    assert auroc == pytest.approx(sk.roc_auc_score(label, score), abs=1e-12)
    assert precision == pytest.approx(sk.average_precision_score(label, score), abs=1e-12)


def test_all_scores_equal():
    auroc, precision = once(np.array([0, 1, 1, 0, 0]), np.full(5, 0.3))
    assert auroc == 0.5
    assert precision == pytest.approx(0.4)  # the step sum: one step, at the prevalence


@pytest.mark.parametrize("ties", [False, True])
def test_bootstrap_equals_a_slow_loop_over_the_same_draws(ties):
    label, score = case(90, 3, ties)
    patient = np.arange(90) // 3  # three pictures each
    draws = PatientDraws.of(30, 60, seed=4)
    auroc, precision = Ranking.of(label, score).statistics(draws.counts, patient)
    for d, counts in enumerate(draws.counts):
        rows = np.concatenate(
            [np.flatnonzero(patient == p) for p in range(30) for _ in range(counts[p])]
        )
        assert auroc[d] == pytest.approx(brute_auroc(label[rows], score[rows]), abs=1e-12)
        slow = sk.average_precision_score(label[rows], score[rows])
        assert precision[d] == pytest.approx(slow, abs=1e-12)


def test_draws_are_whole_patients_and_repeatable():
    draws = PatientDraws.of(17, 40, seed=1)
    assert (draws.counts.sum(axis=1) == 17).all()
    assert np.array_equal(draws.counts, PatientDraws.of(17, 40, seed=1).counts)
    assert not np.array_equal(draws.counts, PatientDraws.of(17, 40, seed=2).counts)


def test_draws_without_a_class_are_drawn_again_and_counted():
    draws = PatientDraws.of(8, 500, seed=0)
    positive, negative = np.array([3, 5, 5]), np.array([0, 1, 2, 4, 6, 7])
    missing = int((draws.counts[:, [3, 5]].sum(axis=1) == 0).sum())
    counts, redrawn = draws.both_classes(positive, negative)
    assert missing > 30
    assert redrawn >= missing
    assert counts[:, [3, 5]].any(axis=1).all()
    untouched = draws.counts[:, [3, 5]].any(axis=1) & draws.counts[:, negative].any(axis=1)
    assert np.array_equal(counts[untouched], draws.counts[untouched])


def test_a_class_that_cannot_be_drawn_is_given_up():
    lonely = PatientDraws(np.zeros((5, 3), np.int16), seed=0)
    assert lonely.both_classes(np.array([0]), np.array([1, 2])) is None


def test_no_width_is_no_interval():
    e = percentile(1.0, np.ones(100))
    assert (e.value, e.low, e.undefined) == (1.0, None, "every resample gives the same value")


def test_percentile_interval_is_numpys_type_7():
    values = np.random.default_rng(0).normal(size=1000)
    e = percentile(0.0, values)
    assert (e.low, e.high) == pytest.approx(np.quantile(values, [0.025, 0.975]), abs=1e-12)


def test_of_sums_equals_resampling_rows():
    rng = np.random.default_rng(2)
    patient, x = np.repeat(np.arange(10), 2), rng.random(20)
    draws = PatientDraws.of(10, 30, seed=3)
    values = np.stack([x, np.ones(20)], axis=1)
    means = of_sums(draws.counts, patient, values, lambda s: s[:, 0] / s[:, 1])
    slow = [np.repeat(x, draws.counts[d][patient]).mean() for d in range(30)]
    assert means == pytest.approx(slow, abs=1e-12)


@pytest.mark.parametrize(
    ("label", "score"), [([0, 1], [0.5, np.nan]), ([0, 2], [0, 1]), ([0, 1], [1.0]), ([[0]], [[1]])]
)
def test_refuses(label, score):
    with pytest.raises(ValueError, match=r"labels|NaN"):
        Ranking.of(label, score)


def test_a_thousand_resamples_of_3133_beat_sklearns_loop_a_hundred_times():
    """Ours draws, sorts and counts; sklearn's loop is taken from 20 of its resamples."""
    label, score = case(3133, 0, False)
    bootstrap_auc(label, score, n=2)  # compiled
    ratios = []
    for _ in range(5):
        start = time.process_time()
        bootstrap_auc(label, score, n=1000)
        ours = time.process_time()
        rng = np.random.default_rng(0)
        for _ in range(20):
            rows = rng.integers(3133, size=3133)
            sk.roc_auc_score(label[rows], score[rows])
        ratios.append(50 * (time.process_time() - ours) / (ours - start))
    assert max(ratios) > 100
