"""What the report says in words: made from the numbers, and silent where they say nothing."""

from dataclasses import replace

import numpy as np
import pytest

from data_sharding.schema import FlowStep
from eval.cohort import Settings, evaluate_cohort
from eval.decisions import predictive_values
from eval.estimate import Estimate
from eval.reporting.benefit import SENSIBLE, acts, gains
from eval.reporting.cautions import cautions, elsewhere
from eval.reporting.contents import in_order, shown
from eval.reporting.groups import forest
from eval.reporting.prevalence import PREVALENCES, reweighted
from eval.reporting.text import estimate, interval, p_value, rows
from eval.runs import Pack
from eval.wording import headline, spread


def evaluated(frame, name):
    return evaluate_cohort(frame.assign(cohort=name), name, Settings(draws=20))


@pytest.fixture(scope="module")
def cohorts(make_cohort):
    """A test cohort; three external ones, of which one is rarer, one has one class, one nobody."""
    here = make_cohort("asan-test", 260, 1)
    there = make_cohort("north", 300, 2)
    few = there[(there["label"] == 0) | (there["key"].str[-1] == "0")]
    frames = {
        "a-one-class-external": there[there["label"] == 1],
        "asan-test": here,
        "b-empty-external": there.iloc[:0],
        "rare-external": few,
        "north-external": there,
        "asan-tune": here[:120],
    }
    return [evaluated(f, name) for name, f in frames.items()]


def test_the_lead_is_the_largest_external_cohort_that_can_be_ranked(cohorts):
    metrics, model = headline(cohorts)
    assert (metrics.cohort, model.model) == ("north-external", "student")
    rest = [m for m in cohorts if m.cohort in ("a-one-class-external", "asan-test")]
    assert headline(rest)[0].cohort == "a-one-class-external"
    assert headline([m for m in cohorts if m.cohort in ("asan-tune", "b-empty-external")]) is None


def test_the_spread_is_of_all_external_cohorts_worst_first(cohorts):
    found = {
        m.cohort: m.models[1].overall.auroc.value
        for m in cohorts
        if m.cohort in ("rare-external", "north-external")
    }
    said = spread(cohorts, headline(cohorts))
    assert "Over 2 external cohorts" in said
    low, high = sorted(found.items(), key=lambda x: x[1])
    assert said.index(f"{low[1]:.3f} ({low[0]})") < said.index(f"{high[1]:.3f} ({high[0]})")
    assert spread([m for m in cohorts if m.cohort != "rare-external"], headline(cohorts)) == ""


def test_what_cannot_be_ranked_comes_after_and_tuning_last(cohorts):
    names = [m.cohort for m in in_order(cohorts)]
    assert names[:3] == ["asan-test", "rare-external", "north-external"]
    assert names[-1] == "asan-tune"
    assert "asan-tune" not in [m.cohort for m in shown(cohorts)]
    only = [m for m in cohorts if m.cohort == "asan-tune"]
    assert shown(only) == only


def named(cohorts, name):
    return next(m for m in cohorts if m.cohort == name)


def test_cautions_name_a_prevalence_that_differs_and_cohorts_that_are_small(cohorts):
    internal = named(cohorts, "asan-test")
    rare, north = named(cohorts, "rare-external"), named(cohorts, "north-external")
    said = " ".join(cautions(None, [internal, rare], internal, []))
    share = rare.spectrum.prevalence
    assert "rare-external has fewer people with low bone mass than asan-test" in said
    assert f"{100 * share.value:.0f}% ({100 * share.low:.0f} to {100 * share.high:.0f})" in said
    assert f"rare-external ({rare.baseline.low_bone_mass} with low bone mass" in said
    assert cautions(None, [internal, north], internal, []) == []


def test_cautions_count_those_the_policy_leaves_out(cohorts, tmp_path):
    class Named:
        flow = (
            FlowStep(step="a", unit="patient", n_in=90, excluded={"osteoporosis": 25}, n_out=65),
            FlowStep(step="b", unit="patient", n_in=65, excluded={"under_age": 5}, n_out=60),
        )

    pack = Pack("asan", "internal", tmp_path, Named(), None)
    (said,) = cautions(None, [], None, [pack, Pack("x", "", tmp_path, None, "gone")])
    assert "osteoporosis were left out by the label policy (25 of asan)" in said


def test_cautions_lead_with_whom_the_model_serves_worse(make_cohort):
    frame = make_cohort("north", 600, 5, models=("student",))
    men = (frame["sex"] == "M") & (frame["label"] == 1)
    frame.loc[men, "probability"] *= 0.4  # misses most of the men
    metrics = evaluated(frame, "north-external")
    student = metrics.models[0]
    said = cautions((metrics, student), [metrics], None, [])[0]
    found = frame[men]["probability"] >= 0.42
    others = frame[(frame["sex"] == "F") & (frame["label"] == 1)]["probability"] >= 0.42
    assert "finds fewer of those with low bone mass among men" in said
    assert f"{100 * found.mean():.0f} of 100, against {100 * others.mean():.0f} among" in said
    assert "p < 0.001" in said
    assert any(
        s.startswith("men (") and "sensitivity −" in s
        for s in forest(metrics, student).standing_out
    )


def test_predictive_values_elsewhere_are_bayes(cohorts, make_cohort):
    frame = make_cohort("asan-test", 260, 1)
    internal = named(cohorts, "asan-test")
    (teacher, student) = reweighted(internal, frame)
    assert (teacher.model, student.model) == ("teacher", "student")
    rows_ = frame[frame["model"] == "student"]
    o = internal.models[1].overall
    for at in student.at:
        flagged = rows_["probability"] >= 0.42
        ppv, _ = predictive_values(rows_["label"], flagged, at.prevalence)
        assert at.ppv.value == ppv.value
        assert at.found / at.flagged == pytest.approx(at.ppv.value)
        assert at.found + at.missed == pytest.approx(1000 * at.prevalence)
    assert at.found == pytest.approx(1000 * PREVALENCES[-1] * o.sensitivity.value)
    rare = student.at[0].ppv
    shares = [f"{100 * x:.0f}" for x in (rare.value, rare.low, rare.high)]
    assert "{} of 100 flagged would have it (95% interval {} to {})".format(*shares) in (
        elsewhere(student)
    )
    bare = replace(rare, low=None, high=None, undefined="specificity is 1")
    assert elsewhere(replace(student, at=(replace(student.at[0], ppv=bare),))) == ""
    assert reweighted(named(cohorts, "b-empty-external"), frame.iloc[:0]) == []


def test_acts_read_the_curve_and_scans_spared_cost_nobody(cohorts, make_cohort):
    frame = make_cohort("asan-test", 260, 1)
    rows_ = frame[frame["model"] == "student"]
    label, risk = rows_["label"].to_numpy(), rows_["probability"].to_numpy()
    for act in acts(named(cohorts, "asan-test").models[1]):
        flagged, odds = risk >= act.threshold, act.threshold / (1 - act.threshold)
        benefit = (flagged & (label == 1)).mean() - odds * (flagged & (label == 0)).mean()
        assert act.model.value == pytest.approx(benefit)
        # Against everybody: those spared, less what the missed are worth in scans.
        spared, missed = (~flagged & (label == 0)).mean(), (~flagged & (label == 1)).mean()
        assert act.spared == pytest.approx(100 * (spared - missed / odds))
        assert act.accepted == pytest.approx(1 / odds)
    assert acts(named(cohorts, "a-one-class-external").models[1]) == []


def test_gains_group_the_models_of_which_the_same_is_said(cohorts):
    models = named(cohorts, "asan-test").models
    ((where, who),) = gains([("a", models[1]), ("b", models[1])])
    assert who == ["a", "b"]
    assert f"{SENSIBLE[0]:.2f}" in where or "nowhere" in where
    worse = models[1].decision.model_copy(
        update={"net_benefit": tuple(Estimate(value=-1.0) for _ in range(99))}
    )
    ((where, _),) = gains([("a", models[1].model_copy(update={"decision": worse}))])
    assert where.startswith("nowhere")


@pytest.mark.parametrize(
    ("given", "digits", "sign", "said"),
    [
        (Estimate(value=0.81249, low=0.7, high=0.9), 3, False, ["0.812", "0.700–0.900"]),
        (Estimate(value=-0.5, low=-1.0, high=0.25), 2, True, ["−0.50", "−1.00 to +0.25"]),
        (Estimate(undefined="one class <only>"), 3, False, ["undefined: one class &lt;only&gt;"]),
        (Estimate(value=0.5, undefined="too few"), 2, False, ["0.50", "interval undefined: too"]),
    ],
)
def test_estimates_in_print(given, digits, sign, said):
    printed = str(estimate(given, digits, sign))
    assert all(part in printed for part in said)
    assert "-" not in interval(given, digits, sign)


def test_small_forms():
    assert [p_value(p) for p in (None, 0.00099, 0.001, 1.0)] == ["–", "< 0.001", "0.001", "1.000"]
    assert rows({"b": {"c": 0.1234567, "d": None}, "a": 1}) == [("a", "1"), ("b.c", "0.123457")]
    assert np.isfinite(SENSIBLE).all()
