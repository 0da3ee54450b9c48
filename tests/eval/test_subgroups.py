"""Groups of one model: they are its rows, their gaps are counted, small ones say nothing."""

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk

from eval.cohort import Settings, evaluate_cohort
from eval.subgroups.levels import MOST, bmi_band, levels

QUICK = Settings(draws=200)


@pytest.fixture(scope="module")
def frame(make_cohort):
    made = make_cohort("here", 600, 7, models=("student",))
    rng = np.random.default_rng(1)
    made["source"] = rng.choice(["asan", "north"], len(made), p=[0.7, 0.3])
    made["vendor"] = rng.choice(["GE", "Canon"], len(made), p=[0.6, 0.4])
    made.loc[:3, "vendor"] = "Agfa"
    return made


@pytest.fixture(scope="module")
def model(frame):
    return evaluate_cohort(frame, "here", QUICK).models[0]


def group(model, by, level):
    return next(s for s in model.subgroups if (s.by, s.level) == (by, level))


def test_what_groups_there_are(model):
    assert list(dict.fromkeys(s.by for s in model.subgroups)) == [
        *("sex", "age", "BMI", "severity", "site", "vendor"),
        *("sex x age", "sex x BMI", "age x BMI", "site x sex", "site x vendor"),
    ]


def test_each_split_has_everybody_unless_kept_back(model):
    for by in {s.by for s in model.subgroups}:
        split = [s for s in model.subgroups if s.by == by]
        n = sum(s.performance.n for s in split if s.performance)
        hidden = [s for s in split if s.suppressed]
        assert n == 600 if not hidden else (n < 600 and len(hidden) >= 2), by


def test_a_group_of_two_characteristics_is_scikit_learns(frame, model):
    found = group(model, "sex x age", "women, ≥65")
    rows = frame[(frame["sex"] == "F") & (frame["age"] >= 65)]
    auroc = sk.roc_auc_score(rows["label"], rows["probability"])
    assert found.performance.n == len(rows)
    assert found.performance.auroc.value == pytest.approx(auroc)
    said = rows["probability"] >= 0.42
    assert found.performance.mcc.value == pytest.approx(sk.matthews_corrcoef(rows["label"], said))
    rest = frame.drop(rows.index)
    gap = found.gap.auroc.value
    assert gap == pytest.approx(auroc - sk.roc_auc_score(rest["label"], rest["probability"]))
    recall = [sk.recall_score(r["label"], r["probability"] >= 0.42) for r in (rows, rest)]
    assert found.gap.sensitivity.value == pytest.approx(recall[0] - recall[1])


def test_small_groups_are_kept_back_with_their_size(frame, model):
    for level in ("Agfa", "Canon"):  # Canon, or Agfa could be subtracted
        kept = group(model, "vendor", level)
        assert (kept.performance, kept.gap) == (None, None)
        assert "kept back: fewer than 5 patients" in kept.suppressed
    assert group(model, "vendor", "GE").performance.n == (frame["vendor"] == "GE").sum()
    assert all(
        s.suppressed for s in model.subgroups if s.by == "site x vendor" and "GE" not in s.level
    )
    everything = Settings(draws=50, smallest_group=1)
    shown = evaluate_cohort(frame, "here", everything).models[0]
    assert group(shown, "vendor", "Agfa").performance.n == 4
    assert not any(s.suppressed for s in shown.subgroups)


def test_a_kept_back_size_is_nowhere_in_the_file(frame):
    odd = frame.assign(
        severity=frame["severity"].where(frame["severity"] != "advanced", "moderate")
    )
    few = odd.index[odd["severity"] == "mild"][:3]
    odd.loc[few, "severity"] = "advanced"
    found = evaluate_cohort(odd, "here", QUICK)
    band = next(b for b in found.models[0].severities if b.level == "advanced")
    assert (band.n, band.patients) == (None, None)
    assert band.suppressed
    assert group(found.models[0], "severity", "advanced").performance is None
    assert found.baseline.counts("severity")["advanced"] is None
    assert found.spectrum.severities["advanced"].value is None
    assert sum(v is None for v in found.baseline.counts("severity").values()) == 2


def test_a_ranking_of_few_is_not_stated(frame):
    small = frame[(frame["sex"] == "M") | (frame.index < 30)]
    women = group(evaluate_cohort(small, "here", QUICK).models[0], "sex", "women").performance
    assert min(women.positives, women.negatives) < 10
    assert "fewer than 10" in women.auroc.undefined
    assert women.sensitivity.value is not None
    assert women.brier_binary.value is not None


def test_comparisons_are_counted_and_corrected_once(model):
    tests = [
        (s, name, t)
        for s in model.subgroups
        if s.gap
        for name in ("auroc", "sensitivity", "specificity")
        if (t := getattr(s.gap, name)).p is not None
    ]
    # men and women are one question, asked from both sides; so are the two sites
    assert len(tests) > model.comparisons > 50
    men, women = (group(model, "sex", x).gap.auroc for x in ("men", "women"))
    assert men.p_holm == pytest.approx(women.p_holm)
    for _, _, t in tests:
        assert t.p_bonferroni == pytest.approx(min(1.0, t.p * model.comparisons))
        assert t.p <= t.p_holm <= t.p_bonferroni
    smallest = min(t.p for *_, t in tests)
    assert min(t.p_holm for *_, t in tests) == pytest.approx(min(1, smallest * model.comparisons))


def test_a_model_blind_in_one_vendor_is_found(frame):
    rng = np.random.default_rng(2)
    canon = (frame["vendor"] == "Canon").to_numpy()
    blind = frame.assign(probability=np.where(canon, rng.random(len(frame)), frame["probability"]))
    found = evaluate_cohort(blind, "here", QUICK).models[0]
    assert group(found, "vendor", "GE").gap.auroc.p_bonferroni < 1e-6
    honest = evaluate_cohort(frame, "here", QUICK).models[0]
    assert all(s.gap.auroc.p_holm > 0.05 for s in honest.subgroups if s.gap and s.gap.auroc.p)


def test_severity_is_one_class_and_says_so(model):
    mild = group(model, "severity", "mild")
    assert "one class only" in mild.performance.auroc.undefined
    assert mild.performance.sensitivity.value is not None
    assert (
        mild.gap.sensitivity.value < 0 < group(model, "severity", "advanced").gap.sensitivity.value
    )
    assert "patients with a negative label" in mild.gap.specificity.undefined


def test_one_site_and_no_vendor_are_no_split(frame):
    found = evaluate_cohort(frame.assign(source="asan", vendor=pd.NA), "here", QUICK).models[0]
    assert {"site", "vendor"}.isdisjoint({s.by for s in found.subgroups})


def test_many_vendors_are_one_level_beyond_the_largest(frame):
    rng = np.random.default_rng(3)
    many = frame.assign(vendor=[f"v{i}" for i in rng.integers(0, 300, len(frame))])
    split = next(s for s in levels(many) if s.name == "vendor")
    assert len(split.names) == MOST
    assert split.names[-1] == "281 others" or "others" in split.names[-1]
    assert set(split.of) == set(split.names)


def test_bmi_bands_at_their_edges():
    found = bmi_band(pd.Series([10, 18.49, 18.5, 24.99, 25, 29.9, 30, 60, np.nan]))
    assert found.tolist() == [
        *("<18.5", "<18.5", "18.5-24.9", "18.5-24.9", "25.0-29.9", "25.0-29.9"),
        *("≥30.0", "≥30.0", "unknown"),
    ]


def test_a_group_with_several_pictures_of_a_patient_counts_patients(make_cohort):
    made = make_cohort("here", 12, 1, repeats=4, models=("student",))
    women = made["sex"] == "F"
    keep = made[~women | made["patient"].isin(made[women]["patient"].unique()[:3])]
    found = evaluate_cohort(keep, "here", QUICK).models[0]
    assert group(found, "sex", "women").suppressed  # 12 pictures of 3 patients


def test_severity_is_no_grade_of_osteoporosis_and_osteoporosis_no_unknown_severity(frame):
    """Whose label is osteoporosis: mild to advanced are all negative, and right is not flagged."""
    rng = np.random.default_rng(4)
    sick = frame["patient"].isin(rng.choice(frame["patient"].unique(), 60, replace=False))
    category = np.where(sick, 2, (frame["severity"] != "normal").astype(int))
    known = frame.assign(
        category=category, severity=frame["severity"].where(~sick), label=sick.astype(int)
    )
    found = evaluate_cohort(known, "here", QUICK)
    assert found.models[0].severities == ()
    levels = {s.level for s in found.models[0].subgroups if s.by == "severity"}
    assert levels == {"normal", "mild", "moderate", "advanced", "osteoporosis"}
    assert found.baseline.counts("severity")["osteoporosis"] == 60
    three = evaluate_cohort(known.assign(label=(category > 0).astype(int)), "here", QUICK)
    bands = {b.level: b for b in three.models[0].severities}
    assert list(bands) == ["normal", "mild", "moderate", "advanced"]
    mild = (known["severity"] == "mild") & (known["model"] == three.models[0].model)
    flagged = known.loc[mild, "probability"] >= known.loc[mild, "threshold"]
    assert bands["mild"].accuracy.value == pytest.approx(flagged.mean())
