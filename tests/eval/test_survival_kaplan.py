"""Kaplan-Meier against R's survfit and lifelines, its pieces against definitions, and bad input."""

import numpy as np
import pytest

from eval.survival import kaplan_meier
from eval.survival.followup import ranks
from tests.eval.survival_cases import CASES, cohort

COLUMNS = {
    "times": "time",
    "at_risk": "n.risk",
    "events": "n.event",
    "censored": "n.censor",
    "survival": "survival",
    "error": "error",
    "low": "low",
    "high": "high",
}


@pytest.mark.parametrize("scale", ["log-log", "log", "plain"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_agrees_with_r(case, scale):
    curve, said = kaplan_meier(case["time"], case["event"], scale=scale), case["R"]["km"][scale]
    for ours, theirs in COLUMNS.items():
        expected = np.array(said[theirs], dtype=float)
        assert getattr(curve, ours) == pytest.approx(expected, abs=1e-10), ours
    assert [curve.quantile(1 - q) for q in (0.25, 0.5, 0.75)] == said["quantile"]
    area = curve.restricted_mean(case["horizon"])
    assert area == pytest.approx(said["rmean"], abs=1e-10)
    assert curve.numbers_at_risk(case["times"]).tolist() == said["at_risk"]


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_agrees_with_lifelines(case):
    curve, said = kaplan_meier(case["time"], case["event"]), case["lifelines"]
    assert curve.at(said["times"]) == pytest.approx(said["survival"], abs=1e-10)
    known = (curve.survival < 1) & (curve.survival > 0)
    for ours, theirs in ((curve.low, said["low"]), (curve.high, said["high"])):
        after_0 = np.array(theirs)[-curve.times.size :]
        assert ours[known] == pytest.approx(after_0[known], abs=1e-10)


def test_without_censoring_it_is_the_share_left():
    time = np.random.default_rng(0).integers(1, 9, 50)
    curve = kaplan_meier(time, np.ones(50))
    for t in (0, 0.5, 3, 7.9, 8, 20):
        assert curve.at(t) == pytest.approx((time > t).mean(), abs=1e-12)
    assert curve.restricted_mean(20) == pytest.approx(time.mean())


def test_greenwood_without_censoring_is_binomial():
    curve = kaplan_meier([1, 2, 3, 4], [1, 1, 1, 1])
    s = curve.survival[:3]
    assert curve.error[:3] == pytest.approx(np.sqrt(s * (1 - s) / 4))


def test_where_nobody_is_left_there_is_no_interval():
    curve = kaplan_meier([1, 2], [1, 1])
    assert curve.survival.tolist() == [0.5, 0.0]
    assert np.isnan([curve.error[1], curve.low[1], curve.high[1]]).all()
    assert "share of 0" in curve.undefined
    assert curve.at([2, 99]).tolist() == [0, 0]
    assert curve.restricted_mean(99) == 1.5


def test_after_the_last_was_last_seen_nothing_is_known():
    curve = kaplan_meier([1, 2, 3], [1, 0, 0])
    assert curve.at([0.5, 1, 3]) == pytest.approx([1, 2 / 3, 2 / 3])
    assert np.isnan(curve.at(3.01))
    assert curve.restricted_mean(3.01) is None
    assert curve.quantile() is None
    assert curve.numbers_at_risk([0, 1, 1.5, 3, 4]).tolist() == [3, 3, 2, 1, 0]


def test_a_curve_that_stays_at_a_half_has_its_median_in_the_middle():
    assert kaplan_meier([1, 2, 4, 9], [1, 1, 1, 1]).quantile() == 3.0
    assert kaplan_meier([1, 2, 4, 9], [1, 1, 0, 0]).quantile() == 2.0


def test_nobody_breaks():
    curve = kaplan_meier([1, 2], [0, 0])
    assert curve.survival.tolist() == curve.low.tolist() == curve.high.tolist() == [1, 1]


def test_nobody():
    curve = kaplan_meier([], [])
    assert curve.times.size == 0
    assert curve.undefined == "nobody was followed"
    assert np.isnan(curve.at([0, 1])).all()
    assert curve.numbers_at_risk([0, 1]).tolist() == [0, 0]
    assert (curve.quantile(), curve.restricted_mean(1)) == (None, None)


def test_one_patient():
    assert kaplan_meier([2.0], [1]).survival.tolist() == [0]
    assert kaplan_meier([2.0], [0]).survival.tolist() == [1]
    assert kaplan_meier([0.0], [1]).at(0) == 0


def test_times_tied_in_mathematics_are_one_step():
    curve = kaplan_meier([0.1 + 0.2, 0.3, 1], [1, 1, 0])
    assert curve.events.tolist() == [2, 0]
    assert curve.at(0.3) == curve.at(0.1 + 0.2) == pytest.approx(1 / 3)
    assert curve.numbers_at_risk([0.3, 0.1 + 0.2]).tolist() == [3, 3]


def test_ranks_join_chains_and_nothing_else():
    values = [5.0, 1.0, 1.0 + 1e-14, 1.0 + 1e-6, -3.0]
    rank, distinct = ranks(values)
    assert rank.tolist() == [3, 1, 1, 2, 0]
    assert distinct.tolist() == [-3.0, 1.0, 1.0 + 1e-6, 5.0]
    assert ranks([0.0, 0.0])[0].tolist() == [0, 0]


def test_the_interval_covers():
    """Exponential times, where the share beyond 1 is 1/e."""
    hits = []
    for seed in range(500):
        rng = np.random.default_rng(seed)
        t, last = rng.exponential(size=80), rng.uniform(0.5, 3, 80)
        curve = kaplan_meier(np.minimum(t, last), t <= last)
        at = np.searchsorted(curve.times, 1, "right") - 1
        hits.append(curve.low[at] <= np.exp(-1) <= curve.high[at])
    assert 0.925 < np.mean(hits) < 0.975


def test_the_order_of_patients_changes_nothing():
    time, event, _ = cohort(50, 1, ties=True)
    order = np.random.default_rng(1).permutation(50)
    one, other = kaplan_meier(time, event), kaplan_meier(time[order], event[order])
    assert one.survival.tolist() == other.survival.tolist()


@pytest.mark.parametrize(
    ("args", "what"),
    [
        (([-1], [1]), "negative"),
        (([np.nan], [1]), "not finite"),
        (([1], [3]), "events must be"),
        (([1], [1], 1.5), "level"),
        (([1], [1], 0.95, "logit"), "choose one of log-log, log, plain"),
    ],
)
def test_refuses(args, what):
    with pytest.raises(ValueError, match=what):
        kaplan_meier(*args)


def test_refuses_shares_and_horizons():
    with pytest.raises(ValueError, match="share"):
        kaplan_meier([1], [1]).quantile(1)
    with pytest.raises(ValueError, match="horizon"):
        kaplan_meier([1], [1]).restricted_mean(0)
