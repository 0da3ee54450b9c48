"""evaluate_cohort against scikit-learn, by subgroup, and on input that is not as it should be."""

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk

from data_sharding.schema import canonical_json
from eval.cohort import Metrics, Settings, evaluate_cohort
from eval.subgroups import age_band

QUICK = Settings(draws=200)


@pytest.fixture(scope="module")
def frame(make_cohort):
    return make_cohort("here", 400)


@pytest.fixture(scope="module")
def found(frame):
    return evaluate_cohort(frame, "here", QUICK)


def model(metrics, name="student"):
    return next(m for m in metrics.models if m.model == name)


@pytest.mark.parametrize("name", ["teacher", "student"])
def test_values_are_scikit_learns(frame, found, name):
    rows, o = frame[frame["model"] == name], model(found, name).overall
    y, p = rows["label"], rows["probability"]
    said = p >= 0.42
    assert o.auroc.value == pytest.approx(sk.roc_auc_score(y, p))
    assert o.average_precision.value == pytest.approx(sk.average_precision_score(y, p))
    assert o.sensitivity.value == pytest.approx(sk.recall_score(y, said))
    assert o.specificity.value == pytest.approx(sk.recall_score(y, said, pos_label=0))
    assert o.ppv.value == pytest.approx(sk.precision_score(y, said))
    assert o.npv.value == pytest.approx(sk.precision_score(y, said, pos_label=0))
    assert o.f1.value == pytest.approx(sk.f1_score(y, said))
    assert o.accuracy.value == pytest.approx(sk.accuracy_score(y, said))
    assert o.brier_binary.value == pytest.approx(sk.brier_score_loss(y, p))
    tn, fp, fn, tp = sk.confusion_matrix(y, said).ravel()
    assert o.confusion.model_dump() == {"tp": tp, "fp": fp, "fn": fn, "tn": tn}


def test_every_interval_holds_its_value(found):
    o = model(found).overall
    for name in ("prevalence", "auroc", "average_precision", "sensitivity", "ppv", "f1", "accuracy",
                 "brier_binary"):  # fmt: skip
        e = getattr(o, name)
        assert e.low < e.value < e.high, name
        assert e.method, name


def test_subgroups_are_the_same_model_on_fewer_rows(frame, found):
    rows = frame[(frame["model"] == "student") & (frame["sex"] == "F")]
    women = next(s for s in model(found).subgroups if s.level == "women").performance
    assert women.n == len(rows)
    assert women.auroc.value == pytest.approx(sk.roc_auc_score(rows["label"], rows["probability"]))
    ages = [s for s in model(found).subgroups if s.by == "age"]
    assert [s.level for s in ages] == ["50-54", "55-59", "60-64", "≥65"]
    assert sum(s.performance.n for s in ages) == 400


def test_age_bands_by_completed_years():
    ages = pd.Series([49.99, 50, 54.99, 55, 59.9, 60, 64.999, 65, 101, np.nan])
    expected = ["under 50", "50-54", "50-54", "55-59", "55-59", "60-64", "60-64", "≥65", "≥65"]
    assert age_band(ages).tolist() == [*expected, "unknown"]


def test_severity_against_all_normals(frame, found):
    rows = frame[(frame["model"] == "student") & frame["severity"].isin(["mild", "normal"])]
    mild = next(b for b in model(found).severities if b.level == "mild")
    auroc = sk.roc_auc_score(rows["label"], rows["probability"])
    assert mild.auroc_against_normal.value == pytest.approx(auroc)
    sick = rows[rows["severity"] == "mild"]
    assert mild.accuracy.value == pytest.approx((sick["probability"] >= 0.42).mean())
    assert mild.n == len(sick)


def test_one_class_in_a_subgroup_is_undefined_with_the_reason(frame):
    men_normal = frame[(frame["sex"] == "F") | (frame["label"] == 0)]
    men = model(evaluate_cohort(men_normal, "here", QUICK)).subgroups[1]
    assert men.level == "men"
    assert men.performance.auroc.value is None
    assert "one class only" in men.performance.auroc.undefined
    assert men.performance.sensitivity.undefined == "nobody here has a positive label"
    assert men.performance.specificity.value is not None


def test_a_teacher_in_student_clothes_does_not_differ(frame):
    teacher = frame[frame["model"] == "teacher"]
    both = pd.concat([teacher, teacher.assign(model="student")])
    (d,) = evaluate_cohort(both, "here", QUICK).differences
    assert (d.first, d.second, d.delong.value, d.p) == ("teacher", "student", 0.0, 1.0)
    assert (d.bootstrap.value, d.bootstrap.low) == (0.0, None)
    assert d.bootstrap.undefined == "every resample gives the same value"


def test_bonferroni_counts_its_comparisons(make_cohort):
    names = ("teacher", "student", "clinical")
    found = evaluate_cohort(make_cohort("here", 200, models=names), "here", QUICK).differences
    assert [(d.first, d.second) for d in found] == [
        ("teacher", "student"),
        ("teacher", "clinical"),
        ("student", "clinical"),
    ]
    assert all(d.comparisons == 3 and d.p_bonferroni == min(1, 3 * d.p) for d in found)


def test_repeated_patients_widen_the_intervals(make_cohort):
    frame = make_cohort("here", 150, repeats=4, models=("student",))
    known = evaluate_cohort(frame, "here", QUICK).models[0].overall
    naive = evaluate_cohort(frame.assign(patient=frame["key"]), "here", QUICK).models[0].overall

    def width(e):
        return e.high - e.low

    assert width(known.sensitivity) > 1.1 * width(naive.sensitivity)
    assert width(known.auroc) > 1.1 * width(naive.auroc)
    assert "design effect" in known.sensitivity.method


def test_rows_without_a_label_are_counted_and_not_used(frame):
    some = frame.assign(label=frame["label"].astype("Int64").where(frame.index % 400 >= 50))
    part = model(evaluate_cohort(some, "here", QUICK))
    assert (part.unlabelled, part.overall.n) == (50, 350)
    none = evaluate_cohort(frame.assign(label=pd.NA), "here", QUICK)
    assert model(none).overall.auroc.value is None
    assert none.baseline.unlabelled == 400
    assert "No picture of this cohort has a reference label." in none.notes


def test_no_threshold_leaves_the_ranking(frame):
    o = model(evaluate_cohort(frame.assign(threshold=np.nan), "here", QUICK)).overall
    assert o.auroc.value is not None
    assert o.confusion is None
    assert o.sensitivity.undefined == "no threshold was frozen for this model"


def test_nobody_flagged(frame):
    o = model(evaluate_cohort(frame.assign(threshold=1.0), "here", QUICK)).overall
    assert o.ppv.undefined == "nobody was flagged"
    assert (o.sensitivity.value, o.specificity.value, o.f1.value) == (0.0, 1.0, 0.0)


def test_an_empty_file_is_a_cohort_of_nobody(frame):
    found = evaluate_cohort(frame.iloc[:0], "here", QUICK)
    assert (found.models, found.differences, found.baseline.patients) == ((), (), 0)
    assert found.notes == ("The predictions file has no rows.",)


def test_one_row(frame):
    found = evaluate_cohort(frame.iloc[:1], "here", QUICK)
    assert "one class only" in found.models[0].overall.auroc.undefined
    assert found.models[0].overall.accuracy.value in (0.0, 1.0)


def test_missing_facts_about_people_are_levels_not_losses(frame):
    bare = frame.assign(age=np.nan, sex=pd.NA, severity=pd.NA, height_cm=np.nan)
    m = model(evaluate_cohort(bare, "here", QUICK))
    unknown = [s.performance.n for s in m.subgroups if s.level == "unknown"]
    assert unknown == [400, 400]
    assert m.severities == ()
    assert evaluate_cohort(bare, "here", QUICK).baseline.measure("BMI").mean is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"probability": np.nan}, r"800 probabilities are missing or not in \[0, 1\]"),
        ({"probability": 1.5}, "probabilities are missing or not in"),
        ({"cohort": "there"}, "also holds rows of there"),
        ({"label": 2}, "labels must be 0, 1"),
        ({"key": "same"}, "two predictions for one key"),
        ({"patient": pd.NA}, "may not be empty"),
        ({"threshold": np.linspace(0, 1, 800)}, "400 thresholds"),
        ({"label": np.arange(800) % 3 % 2}, "disagree about the patient or the label"),
    ],
)
def test_refuses_what_breaks_the_contract(frame, change, message):
    with pytest.raises(ValueError, match=message):
        evaluate_cohort(frame.assign(**change), "here", QUICK)


def test_missing_columns_are_named(frame):
    with pytest.raises(ValueError, match="columns missing: patient, label"):
        evaluate_cohort(frame.drop(columns=["patient", "sex", "label"]), "here", QUICK)


def test_a_spreadsheet_of_scores_and_labels_is_enough(frame, found):
    few = frame[["model", "cohort", "key", "patient", "label", "probability"]]
    m = evaluate_cohort(few, "here", QUICK).models[0]
    assert m.overall.auroc == found.models[0].overall.auroc
    assert m.overall.sensitivity.undefined == "no threshold was frozen for this model"
    assert m.severities == ()
    with pytest.raises(ValueError, match="column label must hold whole numbers"):
        evaluate_cohort(few.assign(label=few["label"] / 2), "here", QUICK)


def test_same_predictions_same_bytes_in_any_order(frame, found):
    shuffled = frame.sample(frac=1, random_state=3)
    again = evaluate_cohort(shuffled, "here", QUICK)
    text = canonical_json(found.model_dump(mode="json"))
    assert canonical_json(again.model_dump(mode="json")) == text
    assert Metrics.model_validate_json(text) == found


def test_baseline_counts_patients_not_pictures(make_cohort):
    frame = make_cohort("here", 100, repeats=3)
    b = evaluate_cohort(frame, "here", QUICK).baseline
    people = frame[frame["model"] == "student"].drop_duplicates("patient")
    assert (b.pictures, b.patients) == (300, 100)
    assert b.normal + b.low_bone_mass == sum(b.counts("age").values()) == 100
    assert b.age_years.mean == pytest.approx(people["age"].mean())
    assert b.age_years.sd == pytest.approx(people["age"].std())
    assert b.sex_unknown == 0


def test_the_rule_is_at_least_the_threshold(frame):
    at = frame.assign(probability=np.where(frame["label"] == 1, 0.42, 0.41999999999999998))
    o = model(evaluate_cohort(at, "here", QUICK)).overall
    assert (o.sensitivity.value, o.specificity.value) == (1.0, 0.0)  # 0.41999999999999998 is 0.42
    below = np.nextafter(0.42, 0)
    at = frame.assign(probability=np.where(frame["label"] == 1, 0.42, below))
    o = model(evaluate_cohort(at, "here", QUICK)).overall
    assert (o.sensitivity.value, o.specificity.value, o.auroc.value) == (1.0, 1.0, 1.0)
    assert o.auroc.undefined == "every resample gives the same value"


def test_what_no_adult_has_is_not_known_and_said(frame):
    odd = frame.assign(
        height_cm=frame["height_cm"] / 100,
        age=frame["age"].mask(frame["patient"] == frame["patient"].iloc[0], 200),
    )
    found = evaluate_cohort(odd, "here", QUICK)
    assert {m.name for m in found.baseline.measures} == {"age", "weight", "lowest T-score"}
    n = frame["patient"].nunique()
    assert f"height_cm of {n} patient(s) is outside 100 to 230 cm, and is" in found.notes[-1]
    assert "age of 1 patient(s) is outside 18 to 115 years" in found.notes[-2]
