from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from training.config import Pseudo
from training.pseudo.ledger import decide
from training.pseudo.prevalence import estimated, moved
from training.pseudo.thresholds import ClassThreshold, Thresholds, choose, one_each


def cohort(n=400, seed=0, d=3.0, prevalence=0.4):
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < prevalence).astype(int)
    odds = np.exp((2 * y - 1) * d * d / 2 + rng.normal(0, d, n)) * prevalence / (1 - prevalence)
    who = np.array([f"{i:04d}" for i in range(n)])
    return y, odds / (1 + odds), who, who


AIMED = Pseudo(target_precision_normal=0.9, target_precision_lbm=0.9)


def test_given_thresholds_come_back_with_what_the_tune_split_says():
    y, p, patient, key = cohort()
    found = choose(Pseudo(), y, p, patient, key)
    assert (found.p_normal, found.p_lbm) == (0.99, 0.75)
    kept = p >= 0.75
    assert (found.low_bone_mass.n, found.low_bone_mass.right) == (kept.sum(), y[kept].sum())
    exact = binomtest(int(y[kept].sum()), int(kept.sum()), alternative="greater")
    assert found.low_bone_mass.lower == pytest.approx(exact.proportion_ci(method="exact").low)
    assert found.warnings == ()


def test_a_threshold_lies_just_above_a_score_that_is_left_out():
    y, p, patient, key = cohort()
    found = choose(AIMED, y, p, patient, key)
    for one, score in ((found.normal, 1 - p), (found.low_bone_mass, p)):
        assert one.threshold is not None
        left_out = np.nextafter(one.threshold, 0)
        assert left_out in score or left_out == 0.5
        assert (score >= one.threshold).sum() == one.n


def brute_force(score, of_class, target):
    """The sequence in plain loops and scipy's exact test, from its own list of sizes."""
    total, order = len(score), sorted(range(len(score)), key=lambda i: -score[i])
    sizes, mistakes, size = [], 1, 1
    while size <= total:
        while binomtest(max(size - mistakes, 0), size, target, "greater").pvalue > 0.05:
            size += 1
        sizes.append(size)
        mistakes = max(mistakes + 1, round(1.25 * mistakes))
    sizes = [s for s in sizes if s <= total]
    threshold, before = None, sizes[0] - 1
    for size in [*sizes, total]:
        edge = max(score[order[size]], 0.5) if size < total else 0.5
        above = [i for i in order if score[i] > edge]
        if len(above) <= before and edge > 0.5:
            continue
        before = len(above)
        right = sum(bool(of_class[i]) for i in above)
        if not above or binomtest(right, len(above), target, "greater").pvalue > 0.05:
            return threshold
        threshold = np.nextafter(edge, 1)
        if edge == 0.5:
            return threshold
    return threshold


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("decimals", [1, 2, 15])
def test_chosen_as_by_hand(seed, decimals):
    y, p, patient, key = cohort(n=150 + 40 * seed, seed=seed, d=2.5)
    p = np.round(p, decimals)  # ties
    found = choose(AIMED, y, p, patient, key)
    assert found.p_lbm == brute_force(p, y == 1, 0.9)
    assert found.p_normal == brute_force(1 - p, y == 0, 0.9)


def test_another_temperature_chooses_the_same_people():
    """The temperature was fitted on the same labels; what is chosen must not depend on it."""
    y, p, patient, key = cohort(seed=3, d=1.8)
    z = np.log(p / (1 - p))
    kept = []
    for t in (0.5, 1.0, 4.0):
        q = 1 / (1 + np.exp(-z / t))
        kept.append(decide(q, choose(AIMED, y, q, patient, key)))
    assert (kept[0] == kept[1]).all()
    assert (kept[0] == kept[2]).all()
    assert (kept[0] != "dropped").any()


def test_none_because_too_few():
    y, p, patient, key = cohort(n=60)
    found = choose(Pseudo(target_precision_normal=0.99), y, p, patient, key).normal
    assert found.threshold is None
    assert "473 patients with one mistake" in found.reason
    assert "60 patients in all" in found.reason
    assert (decide(p, choose(AIMED, y[:5], p[:5], patient[:5], key[:5])) == "dropped").all()


def test_none_because_the_surest_are_wrong():
    y, p, patient, key = cohort()
    found = choose(AIMED, 1 - y, p, patient, key)
    for one in (found.normal, found.low_bone_mass):
        assert one.threshold is None
        assert one.looks[0].n == 46  # binomial: 46 with one mistake reach .9
        assert "of the 46 surest" in one.reason
    assert (decide(p, found) == "dropped").all()


@pytest.mark.parametrize("n", [0, 1, 2])
def test_hardly_anybody_to_tune_on(n):
    y, p, patient, key = (x[:n] for x in cohort())
    found = choose(AIMED, y, p, patient, key)
    assert found.p_normal is found.p_lbm is None
    assert found.tune_patients == n


def test_one_class_and_saturated_scores():
    who = np.array([f"{i:03d}" for i in range(200)])
    ones = choose(AIMED, np.ones(200), np.ones(200), who, who)
    assert ones.p_lbm is not None  # everybody above .5 is right
    assert ones.p_normal is None
    mixed = choose(AIMED, np.arange(200) % 2, np.ones(200), who, who)
    assert mixed.p_lbm is None


def test_of_a_patients_pictures_one_counts():
    y, p, _, key = cohort(n=300)
    patient = np.array([f"{i // 3:03d}" for i in range(300)])
    shuffled = np.random.default_rng(0).permutation(300)
    found = choose(AIMED, *(x[shuffled] for x in (y, p, patient, key)))
    alone = choose(AIMED, *(x[::3] for x in (y, p, patient, key)))
    assert found.low_bone_mass == alone.low_bone_mass
    assert found.tune_patients == 100
    assert "200 further pictures" in found.warnings[0]
    assert (one_each(patient, key) == np.arange(0, 300, 3)).all()


def test_a_rarer_disease_asks_for_more_and_the_result_says_so():
    y, p, patient, key = cohort(n=800)
    unsaid = choose(AIMED, y, p, patient, key)
    rare = choose(AIMED, y, p, patient, key, public_prevalence=0.1)
    assert any("as common as in the tune split" in w for w in unsaid.warnings)
    assert not any("as common" in w for w in rare.warnings)
    assert rare.low_bone_mass.target_on_tune > 0.97
    assert rare.normal.target_on_tune < 0.9
    for bad in (0.0, 1.0, -1, float("nan")):
        with pytest.raises(ValueError, match="prevalence"):
            choose(AIMED, y, p, patient, key, public_prevalence=bad)


def test_a_moved_precision_is_bayes():
    sensitivity, false_alarms = 0.4, 0.02

    def precision(prevalence):
        hits, misses = prevalence * sensitivity, (1 - prevalence) * false_alarms
        return hits / (hits + misses)

    assert moved(precision(0.4), of=0.4, to=0.1) == pytest.approx(precision(0.1))
    assert moved(moved(0.83, 0.3, 0.6), 0.6, 0.3) == pytest.approx(0.83)
    assert moved(1.0, 0.3, 0.6) == 1.0


@pytest.mark.parametrize("there", [0.1, 0.4, 0.7])
def test_prevalence_is_estimated_from_calibrated_scores(there):
    rng = np.random.default_rng(0)
    y = rng.random(40_000) < there
    odds = np.exp(rng.normal((2 * y - 1) * 2.0, 2.0)) * 0.4 / 0.6  # calibrated where it is .4
    assert estimated(odds / (1 + odds), 0.4) == pytest.approx(there, abs=0.01)


def test_no_estimate_of_nothing_and_none_beyond_the_ends():
    assert estimated(np.zeros(0), 0.4) is None
    assert estimated(np.ones(3), 1.0) is None
    assert estimated(np.zeros(3), 0.5) == 0
    assert estimated(np.ones(3), 0.5) == 1


@pytest.mark.parametrize(("label", "p"), [([0, 2], [0.1, 0.2]), ([0, 1], [0.1, np.nan])])
def test_what_cannot_be_is_refused(label, p):
    with pytest.raises(ValueError, match=r"labels|probability"):
        choose(AIMED, np.array(label), np.array(p), np.array(["a", "b"]), np.array(["a", "b"]))


def test_thresholds_survive_json_to_the_bit():
    found = choose(AIMED, *cohort())
    assert Thresholds.model_validate_json(found.model_dump_json()) == found
    for bad in (0.5, 1.5, -1):
        with pytest.raises(ValueError, match="threshold"):
            ClassThreshold(name="normal", threshold=bad, rule="given", n=0, right=0, lower=0)
