"""Table 1: patients once, sides by label, small levels kept back; and the spectrum of disease."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from data_sharding.schema import check_predictions
from eval.baseline import baseline
from eval.spectrum import spectrum
from eval.subgroups import Rule


@pytest.fixture(scope="module")
def frame(make_cohort):
    made = make_cohort("here", 200, 3, repeats=2)
    n = len(made) // 2
    rng = np.random.default_rng(0)
    vendor = np.repeat(rng.choice(["GE", "Canon", "Agfa"], n // 2, p=[0.6, 0.385, 0.015]), 2)
    return check_predictions(made.assign(source="asan", vendor=np.tile(vendor, 2)))


def people(frame):
    return frame.drop_duplicates("patient")


def row(table, name):
    return next(r for r in (*table.measures, *table.splits) if r.name == name)


def test_means_and_welch_over_patients(frame):
    found = row(baseline(frame), "age")
    sides = [people(frame).query(f"label == {k}")["age"].to_numpy(float) for k in (0, 1)]
    assert found.everybody.known == 200
    assert found.normal.mean == pytest.approx(sides[0].mean())
    assert found.low_bone_mass.sd == pytest.approx(sides[1].std(ddof=1))
    theirs = stats.ttest_ind(sides[1], sides[0], equal_var=False)
    assert found.contrast.p == pytest.approx(theirs.pvalue, rel=1e-9)


def test_shares_and_pearson_over_patients(frame):
    found = row(baseline(frame), "sex")
    table = pd.crosstab(people(frame)["label"], people(frame)["sex"])
    assert [r.level for r in found.levels] == ["women", "men"]
    assert [r.low_bone_mass for r in found.levels] == table.loc[1, ["F", "M"]].tolist()
    theirs = stats.chi2_contingency(table, correction=False)
    assert found.contrast.p == pytest.approx(theirs.pvalue, rel=1e-9)


def test_a_small_level_and_the_next_are_kept_back(frame):
    counts = people(frame)["vendor"].value_counts()
    assert 0 < counts["Agfa"] < 5
    assert baseline(frame).counts("vendor") == {
        "GE": int(counts["GE"]), "Canon": None, "Agfa": None
    }  # fmt: skip
    assert baseline(frame, least=1).counts("vendor") == counts.to_dict()
    assert baseline(frame, 1, {"sex": ("men",)}).counts("sex") == {"women": None, "men": None}


def test_what_nobody_knows_has_no_row(frame):
    bare = frame.assign(height_cm=np.nan, vendor=pd.NA, sex=pd.NA, source=" ")
    found = baseline(bare)
    assert [m.name for m in found.measures] == ["age", "weight", "lowest T-score"]
    assert [s.name for s in found.splits] == ["age", "severity"]
    assert found.measure("BMI").known == 0


def test_the_unknown_are_a_level_and_not_tested(frame):
    some = frame.assign(sex=frame["sex"].where(frame["patient"].str[-1] != "7"))
    found = row(baseline(some), "sex")
    assert found.levels[-1].level == "unknown"
    assert sum(r.everybody for r in found.levels) == 200
    known = people(some).dropna(subset="sex")
    theirs = stats.chi2_contingency(pd.crosstab(known["label"], known["sex"]), correction=False)
    assert found.contrast.p == pytest.approx(theirs.pvalue, rel=1e-9)


def test_impossible_bodies_have_no_bmi(frame):
    odd = frame.assign(height_cm=frame["height_cm"].where(frame["patient"].str[-1] != "7", 0))
    assert row(baseline(odd), "BMI").everybody.known == 180


def measured(found, name):
    return next(m for m in found.measures if m.name == name)


def test_nobody_is_read_off_a_mean(frame):
    """Of one patient a mean is a value; and of everybody less all others."""
    who = people(frame)
    sick = who.loc[who["label"] == 1, "patient"].iloc[:4]
    few = baseline(frame[(frame["label"] == 0) | frame["patient"].isin(sick)])
    age = measured(few, "age")
    assert age.everybody.mean is not None
    assert age.normal.kept_back
    assert age.low_bone_mass.kept_back
    assert (age.normal.mean, age.normal.known, age.contrast.p) == (None, 0, None)
    alone = measured(baseline(frame[frame["patient"] == who["patient"].iloc[0]]), "age")
    assert alone.everybody.kept_back
    rest = who["patient"].iloc[:2]
    unlabelled = frame.assign(label=frame["label"].mask(frame["patient"].isin(rest)))
    assert measured(baseline(unlabelled), "age").normal.kept_back
    assert not measured(baseline(frame), "age").normal.kept_back


def test_spectrum_counts_patients_with_a_label(frame):
    part = frame.assign(label=frame["label"].where(frame["patient"].str[-1] != "7"))
    found = spectrum(part, Rule())
    who = people(part[part["label"].notna()])
    assert found.patients == len(who) == 180
    assert found.prevalence.value == pytest.approx(float(who["label"].mean()))
    assert found.prevalence.method == "wilson"  # patients, so no design effect
    sick = who[who["label"] == 1]["severity"].value_counts(normalize=True)
    for name, share in found.severities.items():
        assert share.value == pytest.approx(sick[name])
    assert found.women.value == pytest.approx((who["sex"] == "F").mean())
    assert found.aged_65.value == pytest.approx(float((who["age"] >= 65).mean()))


def test_spectrum_gives_no_kept_back_group_away(frame):
    found = spectrum(frame, Rule(kept_back={"severity": ("mild", "advanced"), "sex": ("women",)}))
    assert found.severities["mild"].value is None
    assert found.severities["moderate"].value is not None
    assert "kept back" in found.women.undefined


def test_spectrum_of_nobody(frame):
    assert spectrum(frame.assign(label=pd.NA), Rule()) is None
    bare = spectrum(frame.assign(severity=pd.NA, sex=pd.NA, age=np.nan), Rule())
    assert (bare.severities, bare.women.undefined) == ({}, "no sex is known")
