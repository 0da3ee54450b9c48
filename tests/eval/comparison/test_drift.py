"""Cohorts against home: the statistics against slow ones, and what may not be told."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from eval import comparison
from eval.cohort import Settings
from eval.comparison.drift import QUANTITIES, apart, away_from, home_of, score_shift
from eval.comparison.page import render
from eval.estimate import Estimate, undefined
from eval.runs import Run
from tests.eval.conftest import cohort_frame, write_cohort

SETTINGS = Settings(draws=40)


def make_run(folder, cohorts, **facts):
    for name, frame in cohorts.items():
        write_cohort(folder, frame, name)
    (folder / "run.json").write_text(json.dumps({"run_id": folder.name, **facts}))
    return folder


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """A run on its home and two other sites, one of which has no labels, and one like it."""
    root = tmp_path_factory.mktemp("drift")
    there = cohort_frame("there-external", 90, 2, 0.7, repeats=2)
    nobody = cohort_frame("open-public", 80, 4, -0.4).assign(label=None)
    cohorts = {"here-test": cohort_frame("here-test", 120, 1), "there-external": there}
    first = make_run(root / "a", {**cohorts, "open-public": nobody})
    return first, make_run(root / "b", cohorts)


@pytest.fixture(scope="module")
def made(two):
    return comparison.compare(two, SETTINGS)


def rows(run, cohort, model):
    frame = Run.at(run).predictions(cohort)
    return frame[frame["model"] == model]


def of(made, run, model, cohort):
    (found,) = [d for d in made.drift if (d.run, d.model, d.cohort) == (run, model, cohort)]
    return found


def test_every_model_is_set_against_home_on_each_other_cohort(made):
    places = {(d.run, d.model, d.home, d.cohort) for d in made.drift}
    models = ("teacher", "student")
    want = {("a", m, "here-test", c) for m in models for c in ("there-external", "open-public")}
    assert places == want | {("b", m, "here-test", "there-external") for m in models}
    assert len(made.drift) == len(places)


def test_scores_are_compared_as_mann_whitney_does_and_as_counted(two, made):
    found = of(made, "a", "student", "there-external")
    home = rows(two[0], "here-test", "student")["probability"].to_numpy()
    there = rows(two[0], "there-external", "student")["probability"].to_numpy()
    u = mannwhitneyu(there, home).statistic / (there.size * home.size)
    assert found.scores.value == pytest.approx(u, abs=1e-12)
    assert found.scores.low < u < found.scores.high
    grid = np.concatenate([home, there])
    gap = max(abs(np.mean(home <= x) - np.mean(there <= x)) for x in grid)
    assert found.distance.value == pytest.approx(gap, abs=1e-12)


def test_the_interval_of_a_shift_knows_patients():
    rng = np.random.default_rng(0)
    home, there = rng.normal(0, 1, 60), rng.normal(0.5, 1, 60)
    alone = score_shift(home, there, (np.arange(60), np.arange(60, 120)))
    # Each picture twice is no more people.
    twice = score_shift(
        np.repeat(home, 2),
        np.repeat(there, 2),
        (np.repeat(np.arange(60), 2), np.repeat(np.arange(60, 120), 2)),
    )
    assert (twice.value, twice.low, twice.high) == pytest.approx(
        (alone.value, alone.low, alone.high), abs=1e-12
    )


def test_differences_are_there_minus_home(made):
    numbers = {(r.run, r.model, r.cohort): r for r in made.rows}
    tests = [c for c in made.contrasts if c.kind == "unpaired"]
    for d in made.drift:
        home = numbers[d.run, d.model, d.home]
        there = numbers[d.run, d.model, d.cohort]
        for name in ("auroc", "sensitivity", "slope", "ece"):
            e, a, b = (getattr(x, name) for x in (d, home, there))
            if b.value is None:
                assert e.value is None
                continue
            assert e.value == pytest.approx(b.value - a.value, abs=1e-12)
            assert e.low is None or e.low < e.value < e.high
        same = [c for c in tests if (c.first.run, c.first.model) == (d.run, d.model)]
        of_cohort = [c for c in same if d.cohort in (c.first.cohort, c.second.cohort)]
        assert not of_cohort or d.auroc.value == pytest.approx(of_cohort[0].difference.value)


def test_an_unlabelled_cohort_has_scores_and_nothing_else(made):
    found = of(made, "a", "teacher", "open-public")
    known = {name for name in QUANTITIES if getattr(found, name).value is not None}
    assert known == {"scores", "distance", "called_positive"}
    assert all(getattr(found, n).undefined for n in set(QUANTITIES) - known)


def test_mover_of_even_intervals_is_the_root_of_squares():
    a, b = Estimate(value=0.5, low=0.4, high=0.6), Estimate(value=0.8, low=0.6, high=1.0)
    found = apart(a, b)
    half = math.hypot(0.1, 0.2)
    assert (found.value, found.low, found.high) == pytest.approx((0.3, 0.3 - half, 0.3 + half))
    # Of uneven ones each limit has the parts that lie towards it.
    found = apart(Estimate(value=0.5, low=0.45, high=0.7), Estimate(value=0.5, low=0.3, high=0.6))
    assert (found.low, found.high) == pytest.approx((-math.hypot(0.2, 0.2), math.hypot(0.1, 0.05)))
    assert apart(a, Estimate(value=0.8)).low is None
    assert apart(undefined("one class"), b).undefined == "at home: one class"
    assert apart(a, undefined("one class")).undefined == "there: one class"


def test_home_is_the_internal_test_split(tmp_path):
    cohorts = ["b-test", "a-test", "a-tune", "c-external"]
    run = Run(tmp_path)
    assert home_of(run, cohorts) == "a-test"
    roles = {"b": {"role": "internal"}, "c": {"role": "external"}}
    (tmp_path / "run.json").write_text(json.dumps({"manifests": roles}))
    assert home_of(run, cohorts) == "b-test"
    assert home_of(run, ["c-external"]) is None
    assert away_from("b-test", [*cohorts, "b-heldout"]) == ["a-test", "c-external"]
    for odd in ({"manifests": []}, {"manifests": {"b": "internal"}}):
        (tmp_path / "run.json").write_text(json.dumps(odd))
        assert home_of(run, cohorts) == "a-test"


def test_people_in_both_and_too_few_people_leave_it_undefined(tmp_path):
    there = cohort_frame("there-external", 60, 2)
    there.loc[there["key"] == "there-external-00000", "patient"] = "here-test-p00007"
    few = cohort_frame("few-external", 4, 3)
    cohorts = {"here-test": cohort_frame("here-test", 80, 1), "there-external": there}
    made = comparison.compare(
        [make_run(tmp_path / "a", {**cohorts, "few-external": few})], SETTINGS
    )
    shared = of(made, "a", "student", "there-external")
    assert {getattr(shared, n).undefined for n in QUANTITIES} == {
        "1 patients are in both cohorts: they are not apart"
    }
    small = of(made, "a", "student", "few-external")
    assert {getattr(small, n).undefined for n in QUANTITIES} == {"kept back: fewer than 5 patients"}


def test_the_page_prints_drift(made):
    text = render(made)
    found = of(made, "b", "teacher", "there-external")
    assert "Away from home" in text
    assert f"{found.auroc.value:+.3f}".replace("-", "−") in text
    assert f"{found.scores.value:.2f}" in text
    assert "Away from home" not in render(made.model_copy(update={"drift": ()}))
