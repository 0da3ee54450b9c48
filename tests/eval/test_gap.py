"""A group against the rest: DeLong, coverage in simulations, and R's corrections."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit

from eval.bootstrap import PatientDraws
from eval.delong import delong_unpaired
from eval.performance import Cases
from eval.subgroups.gap import auroc_gap, corrected, gap, share_gap


def cases(label, risk, patient=None, threshold=0.5, draws=200):
    patient = np.arange(label.size) if patient is None else patient
    drawn = PatientDraws.of(int(patient.max()) + 1, draws)
    return Cases(patient, label, risk, threshold, drawn)


def cohort(n, seed, repeats=1):
    rng = np.random.default_rng(seed)
    patient = np.repeat(np.arange(n), repeats)
    z = np.repeat(rng.normal(size=n), repeats)
    label = (z + np.repeat(rng.normal(size=n), repeats) > 0).astype(np.int64)
    risk = expit(z + rng.normal(size=z.size) * 0.7)
    return cases(label, risk, patient), np.repeat(rng.random(n) < 0.4, repeats)


def test_auroc_of_many_is_delongs_unpaired_test():
    c, rows = cohort(20_000, 0)
    found = auroc_gap(c, rows, 10)
    args = c.label[rows], c.probability[rows], c.label[~rows], c.probability[~rows]
    theirs = delong_unpaired(*args)
    assert found.value == theirs.difference
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=2e-4)
    assert found.p == pytest.approx(theirs.p, rel=0.02)


def test_p_is_where_the_interval_touches_zero():
    c, rows = cohort(150, 3)
    p = auroc_gap(c, rows, 10).p
    for confidence, crosses in ((1 - p * 1.001, False), (1 - p * 0.999, True)):
        found = auroc_gap(replace(c, confidence=confidence), rows, 10)
        assert (found.low < 0 < found.high) == crosses


def test_a_few_well_ranked_patients_are_no_discovery():
    """AUROC 0.9 on both sides, 11 and 17 patients against 300; DeLong's own test finds far more."""
    rng = np.random.default_rng(0)
    ours, plain, n = 0, 0, 300
    label = np.r_[np.ones(11), np.zeros(17), np.ones(150), np.zeros(150)].astype(np.int64)
    rows = np.arange(label.size) < 28
    patient, draws = np.arange(label.size), PatientDraws.of(label.size, 2)
    for _ in range(n):
        score = expit(rng.normal(size=label.size) + 1.812 * label)
        found = auroc_gap(Cases(patient, label, score, 0.5, draws), rows, 10)
        ours += found.p is not None and found.p < 0.05
        theirs = delong_unpaired(label[rows], score[rows], label[~rows], score[~rows]).p
        plain += theirs is None or theirs < 0.05
    assert ours / n < 0.07 < plain / n


def test_the_rest_sees_the_same_gap_the_other_way():
    c, rows = cohort(200, 1, repeats=2)
    one, other = gap(c, rows, 5, 10), gap(c, ~rows, 5, 10)
    for name in ("auroc", "sensitivity", "specificity"):
        a, b = getattr(one, name), getattr(other, name)
        assert a.value == pytest.approx(-b.value)
        assert (a.p, a.low) == (pytest.approx(b.p), pytest.approx(-b.high))


def test_patients_on_both_sides_are_resampled_together():
    c, _ = cohort(150, 2, repeats=2)
    rows = np.arange(c.label.size) % 2 == 0  # one picture of everybody on each side
    found = auroc_gap(c, rows, 10)
    assert "some patients on both sides" in found.method
    apart = auroc_gap(cases(c.label, c.probability), rows, 10)
    assert apart.method == "DeLong, logit, MOVER"
    # the two pictures of a patient agree: their difference varies less than that of strangers
    assert found.high - found.low < 0.8 * (apart.high - apart.low)
    shares = [gap(x, rows, 5, 10).sensitivity for x in (c, cases(c.label, c.probability))]
    assert shares[0].high - shares[0].low < 0.8 * (shares[1].high - shares[1].low)


@pytest.mark.parametrize("p", [(0.8, 0.8), (0.95, 0.7), (0.97, 0.97)])
@pytest.mark.parametrize("repeats", [1, 3])
def test_share_gap_covers(p, repeats):
    """25 patients against 200: 95% intervals hold the truth, and equal shares differ in 5%."""
    rng = np.random.default_rng(3)
    patient = np.repeat(np.arange(225), repeats)
    rows = patient < 25
    truth = p[0] - p[1]
    of = np.ones(rows.size, bool)
    c = cases(np.ones(rows.size, np.int64), np.ones(rows.size), patient, draws=2)
    inside, rejected, n = 0, 0, 600
    for _ in range(n):
        # beta-binomial patients: their pictures agree more than those of strangers
        chance = np.where(np.arange(225) < 25, *p)
        chance = rng.beta(chance * 2, (1 - chance) * 2) if repeats > 1 else chance
        hit = rng.random(rows.size) < np.repeat(chance, repeats)
        found = share_gap(c, rows, of, hit, "", 5)
        inside += found.low <= truth <= found.high
        rejected += found.p < 0.05
    assert inside / n >= 0.93
    assert inside / n <= 0.99 or min(p) > 0.95  # shares of all but a few patients: cautious
    if truth == 0:
        assert rejected / n < 0.07


def test_too_few_and_no_threshold_say_so():
    c, rows = cohort(200, 4)
    few = np.zeros_like(rows)
    few[:3] = True
    found = gap(c, few, 5, 10)
    assert "fewer than 10" in (found.auroc.undefined or "") or "one class" in found.auroc.undefined
    assert "fewer than 5" in found.sensitivity.undefined
    assert (found.auroc.p, found.sensitivity.value) == (None, None)
    bare = gap(cases(c.label, c.probability, threshold=None), rows, 5, 10)
    assert bare.sensitivity.undefined == "no threshold was frozen for this model"
    assert bare.auroc.p is not None


def test_a_perfect_group_has_no_test():
    c, rows = cohort(200, 5)
    perfect = cases(c.label, np.where(c.label == 1, 0.9, 0.1))
    found = auroc_gap(perfect, rows, 10)
    assert (found.value, found.p) == (0.0, None)
    assert "without a fault" in found.undefined


def test_corrections_are_those_of_r():
    # p.adjust(c(.01, .04, .03, .005), "holm") and "bonferroni", R 4.2.2
    found = corrected({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005})
    assert [found[k][0] for k in "abcd"] == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert [found[k][1] for k in "abcd"] == pytest.approx([0.04, 0.16, 0.12, 0.02])
    assert corrected({}) == {}
