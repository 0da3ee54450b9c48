"""Harrell's and Uno's C against R, scikit-survival, lifelines and a count of all the pairs."""

import time as clock

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from eval.survival import FollowUp, harrell_c, uno_c
from tests.eval.survival_cases import CASES, cohort


def slow(time, event, score, weight=None):
    """All ordered pairs, from the definition: concordant, discordant, tied."""
    n = len(time)
    pairs = np.zeros(3)
    for i in range(n):
        for j in range(n):
            later = time[j] > time[i] or (time[j] == time[i] and not event[j])
            if i != j and event[i] and later:
                place = 0 if score[i] > score[j] else 1 if score[i] < score[j] else 2
                pairs[place] += 1 if weight is None else weight[i]
    return pairs


def slow_g(time, event, at):
    """G(at-) from the product over earlier censored times."""
    g = 1.0
    for t in sorted(set(time)):
        if t < at:
            leaving = sum(a == t and not e for a, e in zip(time, event, strict=True))
            risk = sum(
                a > t or (a == t and not e) for a, e in zip(time, event, strict=True)
            )  # fractures first
            g *= 1 - leaving / risk if risk else 1
    return g


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_agrees_with_r(case):
    args, said = (case["time"], case["event"], case["score"]), case["R"]
    ours = harrell_c(*args)
    assert ours.value == pytest.approx(said["harrell"]["c"], abs=1e-10)
    assert ours.error == pytest.approx(said["harrell"]["error"], abs=1e-10)
    counts = said["harrell"]["count"]
    assert [ours.concordant, ours.discordant, ours.tied] == counts[:3]
    assert ours.same_time == counts[3] + counts[4]
    clustered = harrell_c(*args, patient=case["patient"])
    assert clustered.error == pytest.approx(said["harrell_by_patient"]["error"], abs=1e-10)
    assert clustered.value == ours.value
    for name, horizon in (("uno", None), ("uno_horizon", case["horizon"])):
        uno = uno_c(*args, horizon=horizon)
        assert uno.value == pytest.approx(said[name]["c"], abs=1e-10)
        assert uno.error == pytest.approx(said[name]["error"], abs=1e-10)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_agrees_with_lifelines_and_scikit_survival(case):
    ours = harrell_c(case["time"], case["event"], case["score"])
    assert ours.value == pytest.approx(case["lifelines"]["harrell"], abs=1e-10)
    assert ours.value == pytest.approx(case["sksurv"]["harrell"], abs=1e-10)
    if "uno" in case["sksurv"]:
        uno = uno_c(case["time"], case["event"], case["score"], horizon=case["horizon"])
        assert uno.value == pytest.approx(case["sksurv"]["uno"], abs=1e-10)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 6), st.booleans(), st.integers(-2, 2)), min_size=1, max_size=25
    )
)
def test_every_pair_counted_once(rows):
    time, event, score = (list(c) for c in zip(*rows, strict=True))
    expected = slow(time, event, score)
    ours = harrell_c(time, event, score)
    assert [ours.concordant, ours.discordant, ours.tied] == expected.tolist()
    if expected.sum() == 0:
        assert ours.value is None
        assert ours.undefined
        return
    assert ours.value == pytest.approx((expected[0] + expected[2] / 2) / expected.sum())
    weight = [slow_g(time, event, t) ** -2 for t in time]
    weighted = slow(time, event, score, weight)
    uno = uno_c(time, event, score)
    assert [uno.concordant, uno.discordant, uno.tied] == pytest.approx(weighted.tolist(), rel=1e-10)


def test_error_is_the_derivative_of_c_in_each_patients_weight():
    """The jackknife, from a slow weighted C with one weight moved a little."""
    time, event, score = cohort(30, 0, ties=True)

    def c(weight):
        up = down = 0.0
        for i in range(30):
            for j in range(30):
                if event[i] and (time[j] > time[i] or (time[j] == time[i] and not event[j])):
                    w = weight[i] * weight[j]
                    up += w * ((score[i] > score[j]) + 0.5 * (score[i] == score[j]))
                    down += w
        return up / down

    nudge, ones = 1e-5, np.ones(30)
    slopes = [(c(ones + nudge * e) - c(ones - nudge * e)) / (2 * nudge) for e in np.eye(30)]
    error = harrell_c(time, event, score).error
    assert error == pytest.approx(np.sqrt(np.square(slopes).sum()), rel=1e-8)


def test_ties_in_mathematics_are_ties():
    """0.1 + 0.2 is not 0.3 in floats: in times it would make a pair, in scores an order."""
    assert harrell_c([0.1 + 0.2, 0.3, 1.0], [1, 1, 0], [1.0, 2.0, 0.0]).same_time == 1
    ours = harrell_c([1.0, 2.0], [1, 0], [0.3, 0.1 + 0.2])
    assert (ours.value, ours.tied) == (0.5, 1.0)


def test_scores_a_millionth_apart_are_no_ties():
    assert harrell_c([1.0, 2.0], [1, 0], [0.300001, 0.3]).value == 1.0


def test_a_monotone_transform_and_an_order_of_rows_change_nothing():
    time, event, score = cohort(80, 3, ties=True)
    order = np.random.default_rng(0).permutation(80)
    one = uno_c(time, event, score)
    other = uno_c(time[order], event[order], np.exp(score[order]))
    assert other.value == pytest.approx(one.value, abs=1e-12)
    assert other.error == pytest.approx(one.error, abs=1e-12)
    assert harrell_c(time, event, -score).value == pytest.approx(
        1 - harrell_c(time, event, score).value
    )


def test_twins_leave_the_error_where_it_was_only_by_patient():
    time, event, score = cohort(120, 4, ties=False)
    twice = [np.repeat(x, 2) for x in (time, event, score)]
    alone = harrell_c(time, event, score)
    twins = harrell_c(*twice, patient=np.repeat(np.arange(120), 2))
    assert twins.error == pytest.approx(alone.error, rel=1e-9)
    assert harrell_c(*twice).error < 0.75 * alone.error


def test_harrell_depends_on_censoring_and_uno_does_not():
    """The same patients, censored early or late: Uno's C stays, within its error."""
    rng = np.random.default_rng(8)
    risk = rng.normal(size=4000)
    fracture = rng.exponential(5 * np.exp(-risk * (rng.random(4000) < 0.7)))
    said = {}
    for name, longest in (("late", 60.0), ("early", 4.0)):
        last = rng.uniform(0, longest, 4000)
        args = (np.minimum(fracture, last), fracture <= last, risk)
        said[name] = uno_c(*args, horizon=3.5)
    gap = abs(said["late"].value - said["early"].value)
    assert gap < 3 * np.hypot(said["late"].error, said["early"].error)


def test_the_interval_is_walds_on_the_logit():
    ours = harrell_c(*cohort(60, 6, ties=True), level=0.9)
    reach = norm.ppf(0.95) * ours.error / (ours.value * (1 - ours.value))
    odds = np.log(ours.value / (1 - ours.value))
    expected = 1 / (1 + np.exp(-odds - reach * np.array([-1, 1])))
    assert [ours.low, ours.high] == pytest.approx(expected, abs=1e-12)


def test_the_interval_covers():
    """Known truth: for exponential times with log hazard b x, C is found from a huge sample."""
    rng = np.random.default_rng(9)

    def draw(n):
        x = rng.normal(size=n)
        t, last = rng.exponential(np.exp(-x)), rng.uniform(0, 3, n)
        return np.minimum(t, last), t <= last, x

    truth = harrell_c(*draw(100_000)).value
    found = [harrell_c(*draw(150)) for _ in range(400)]
    covered = np.mean([c.low <= truth <= c.high for c in found])
    assert 0.92 < covered < 0.98


@pytest.mark.parametrize(
    ("time", "event", "why"),
    [
        ([], [], "nobody was followed"),
        ([1.0], [1], "no pair is comparable"),
        ([1.0, 2.0], [0, 0], "none of 2 patients had a fracture"),
        ([2.0, 2.0], [1, 1], "no pair is comparable"),
        ([1.0, 2.0], [0, 1], "no pair is comparable"),
    ],
)
@pytest.mark.parametrize("c", [harrell_c, uno_c])
def test_undefined_says_why(c, time, event, why):
    ours = c(time, event, np.arange(len(time)))
    assert (ours.value, ours.error, ours.low, ours.high) == (None,) * 4
    assert why in ours.undefined


def test_perfect_has_no_interval():
    ours = harrell_c([1, 2, 3], [1, 1, 0], [3, 2, 1])
    assert (ours.value, ours.low) == (1.0, None)
    assert "no variance" in ours.undefined


def test_uno_without_fractures_before_the_horizon_or_without_a_long_enough_reference():
    assert "before the horizon of 2" in uno_c([2, 3], [1, 0], [1, 0], horizon=2).undefined
    short = FollowUp.of([1.0, 2.0], [1, 0])
    assert (
        "give a horizon" in uno_c([1.0, 3.0, 4.0], [1, 1, 0], [3, 2, 1], reference=short).undefined
    )
    assert uno_c([1.0, 3.0, 4.0], [1, 1, 0], [3, 2, 1], 2.5, reference=short).value == 1.0


@pytest.mark.parametrize(
    ("time", "event", "score", "what"),
    [
        ([-1, 2], [1, 0], [0, 1], "1 of 2 times are negative"),
        ([np.nan, 2], [1, 0], [0, 1], "1 of 2 values of time are not finite"),
        ([1, np.inf], [1, 0], [0, 1], "not finite"),
        ([1, 2], [1, 2], [0, 1], "events must be"),
        ([1, 2], [1, np.nan], [0, 1], "events must be"),
        ([1, 2], pd.array([1, None], "Int64"), [0, 1], "events must be"),
        (pd.array([1, None], "Float64"), [1, 0], [0, 1], "values of time are not finite"),
        ([1, 2], np.array([1, None, pd.NA])[1:], [0, 1], "event: not a list of numbers"),
        ([1, 2], [1, 0], ["high", "low"], "score: not a list of numbers"),
        ([1, [2, 3]], [1, 0], [0, 1], "time: not a list of numbers"),
        ([1, 2], [1], [0, 1], "equally long"),
        ([1, 2], [1, 0], [0, np.nan], "values of score are not finite"),
        ([1, 2], [1, 0], [0], "must be a list as long"),
        ([[1, 2]], [[1, 0]], [[0, 1]], "must be a list"),
    ],
)
def test_refuses(time, event, score, what):
    for c in (harrell_c, uno_c):
        with pytest.raises(ValueError, match=what):
            c(time, event, score)


def test_refuses_levels_horizons_and_lists_of_patients():
    with pytest.raises(ValueError, match="level"):
        harrell_c([1, 2], [1, 0], [0, 1], level=1)
    with pytest.raises(ValueError, match="horizon"):
        uno_c([1, 2], [1, 0], [0, 1], horizon=0)
    with pytest.raises(ValueError, match="patients"):
        harrell_c([1, 2], [1, 0], [0, 1], patient=[1])


def test_a_hundred_thousand_patients_in_under_a_second():
    time, event, score = cohort(100_000, 1, ties=False)
    harrell_c(time[:10], event[:10], score[:10])  # compiles
    start = clock.process_time()
    harrell_c(time, event, score)
    assert clock.process_time() - start < 1
