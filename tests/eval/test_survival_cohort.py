"""What metrics.json says of fractures: of simulated cohorts whose hazard is known, and of bad ones.

Patients break at a hazard of exp(score) times a constant, so the true risk within any time and,
by counting pairs, the concordance are known without any of the functions under test.
"""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from data_sharding.schema import check_predictions
from eval.cohort import Settings
from eval.survival.cohort import FractureMetrics, fracture_metrics

SETTINGS = Settings()
YEARS = (1, 2, 3, 5)


def cohort(n: int = 600, seed: int = 0, yearly: float = 0.05, risks: bool = True) -> pd.DataFrame:
    """One model's predictions; censored between 2 and 8 years."""
    rng = np.random.default_rng(seed)
    score = rng.normal(0, 1, n)
    rate = yearly * np.exp(score) / 365
    broken = rng.exponential(1 / rate)
    seen = rng.uniform(2 * 365, 8 * 365, n)
    days = np.ceil(np.minimum(broken, seen))
    frame = pd.DataFrame(
        {
            "model": "fracture",
            "cohort": "here-test",
            "key": [f"k{i:06d}" for i in range(n)],
            "patient": [f"p{i}" for i in range(n)],
            "label": pd.NA,
            "probability": 1 - np.exp(-rate * 5 * 365),
            "logit": score,
            "fracture": (broken <= seen).astype(int),
            "followup_days": days,
        }
    )
    if risks:
        frame = frame.assign(**{f"risk_{y}y": 1 - np.exp(-rate * y * 365) for y in YEARS})
    return check_predictions(frame)


def found(frame: pd.DataFrame) -> FractureMetrics:
    metrics = fracture_metrics(frame, SETTINGS)
    assert metrics is not None
    return metrics


def by_counting(frame: pd.DataFrame) -> float:
    """Harrell's C by looking at every pair."""
    time, event, score = (frame[c].to_numpy(float) for c in ("followup_days", "fracture", "logit"))
    earlier = time[:, None] < time[None, :]
    same_day = (time[:, None] == time[None, :]) & (event[None, :] == 0)
    pairs = (event[:, None] == 1) & (earlier | same_day)
    np.fill_diagonal(pairs, False)
    right = (score[:, None] > score[None, :]) + 0.5 * (score[:, None] == score[None, :])
    return float(right[pairs].sum() / pairs.sum())


def test_counts_and_concordance_are_those_of_the_rows():
    frame = cohort()
    frame.loc[:9, "fracture"] = pd.NA
    frame.loc[5:19, "followup_days"] = np.nan
    metrics, known = found(frame), frame.iloc[20:]
    assert (metrics.n, metrics.without_followup, metrics.patients) == (580, 20, 580)
    assert metrics.fractures == known["fracture"].sum()
    assert metrics.harrell_c.value == pytest.approx(by_counting(known), abs=1e-12)
    assert metrics.harrell_c.low < metrics.harrell_c.value < metrics.harrell_c.high
    assert metrics.uno_days == np.sort(known["followup_days"])[-10]


def test_true_risks_are_calibrated():
    """Four horizons and their groups in five cohorts: 95% intervals hold most true risks."""
    ratios, groups = [], []
    for seed in range(5):
        for horizon, years in zip(found(cohort(2000, seed)).horizons, YEARS, strict=True):
            assert horizon.days == years * 365
            assert horizon.accuracy > 0
            assert horizon.auc.low > 0.55
            assert len(horizon.groups) == 5
            ratio = horizon.observed_to_predicted
            ratios.append(ratio.low < 1 < ratio.high)
            groups += [
                g.observed.low <= g.mean_predicted <= g.observed.high for g in horizon.groups
            ]
    assert np.mean(ratios) >= 0.85
    assert 0.85 <= np.mean(groups) < 1


def test_halved_risks_rank_as_well_and_are_not_calibrated():
    frame = cohort(4000, seed=3)
    halved = frame.assign(**{f"risk_{y}y": frame[f"risk_{y}y"] / 2 for y in YEARS})
    for horizon, true in zip(found(halved).horizons, found(frame).horizons, strict=True):
        assert horizon.observed_to_predicted.low > 1.2
        assert horizon.auc == true.auc
        assert horizon.brier.value > true.brier.value


def test_observed_risks_allow_for_who_was_lost():
    """At 5 years half are lost: the share seen to break is far below the risk."""
    frame = cohort(5000, seed=4)
    horizon = found(frame).horizons[-1]
    true = float(frame["risk_5y"].mean())
    broken = ((frame["fracture"] == 1) & (frame["followup_days"] <= 5 * 365)).mean()
    assert horizon.observed.low < true < horizon.observed.high
    assert broken < horizon.observed.low


def test_thirds_fall_in_the_order_of_risk():
    metrics = found(cohort(900, seed=5))
    assert [c.third for c in metrics.curves] == ["low", "middle", "high"]
    assert {c.n for c in metrics.curves} == {300}
    assert sum(c.fractures for c in metrics.curves) == metrics.fractures
    at = metrics.days.index(1800)
    low, middle, high = (c.survival[at] for c in metrics.curves)
    assert low > middle > high
    for curve in metrics.curves:
        assert len(curve.survival) == len(curve.low) == len(curve.at_risk) == len(metrics.days)
        assert curve.survival[0] == 1
        assert curve.at_risk[0] == 300


def test_median_of_being_followed_is_the_middle_of_the_censoring():
    median = found(cohort(4000, seed=6)).followup_median_days
    assert median.low < 5 * 365 < median.high


def test_it_is_written_and_read_as_json():
    metrics = found(cohort())
    text = json.dumps(metrics.model_dump(mode="json"), allow_nan=False)
    assert FractureMetrics.model_validate_json(text) == metrics


def test_a_model_of_bone_mass_is_ranked_and_not_calibrated():
    horizon = found(cohort(risks=False)).horizons[2]
    assert horizon.auc.value > 0.6
    assert "risk_3y" in horizon.brier.undefined
    assert "risk_3y" in horizon.observed_to_predicted.undefined
    assert (horizon.mean_predicted, horizon.groups) == (None, ())
    assert horizon.observed.value is not None


def test_without_logits_the_probability_ranks():
    frame = cohort()
    frame.loc[3, "logit"] = np.nan
    assert found(frame).harrell_c == found(cohort()).harrell_c


def test_several_pictures_of_a_patient_are_one_in_intervals():
    frame = cohort(400)
    twice = pd.concat([frame, frame.assign(key=frame["key"] + "b")], ignore_index=True)
    once, doubled = found(frame), found(check_predictions(twice))
    assert (doubled.n, doubled.patients) == (800, 400)
    assert doubled.harrell_c.value == pytest.approx(once.harrell_c.value, abs=0.01)
    wide, same = (m.harrell_c.high - m.harrell_c.low for m in (once, doubled))
    assert same == pytest.approx(wide, rel=0.05)
    assert "several pictures" in doubled.followup_median_days.undefined
    assert "several pictures" in doubled.horizons[0].observed.undefined
    assert set(doubled.curves[0].low) == {None}


def test_nobody_followed_is_none():
    frame = cohort(20)
    frame["fracture"] = pd.NA
    assert fracture_metrics(frame, SETTINGS) is None


def test_nobody_broken_says_so_everywhere():
    frame = cohort(50)
    frame["fracture"] = 0
    metrics = found(frame)
    assert "none of 50 patients had a fracture" in metrics.harrell_c.undefined
    assert "none of 50 patients had a fracture" in metrics.uno_c.undefined
    assert all("0 fractures" in h.auc.undefined for h in metrics.horizons[:2])
    json.dumps(metrics.model_dump(mode="json"), allow_nan=False)


@pytest.mark.parametrize("n", [1, 2, 5, 12, 40])
def test_small_cohorts_give_reasons_and_no_nan(n):
    for seed in range(5):
        metrics = found(cohort(n, seed, yearly=0.4))
        json.dumps(metrics.model_dump(mode="json"), allow_nan=False)
        assert metrics.curves or metrics.curves_undefined


def test_equal_scores_have_no_thirds_and_a_c_of_a_half():
    frame = cohort(100, yearly=0.3).assign(logit=0.0)
    metrics = found(frame)
    assert metrics.harrell_c.value == 0.5
    assert metrics.curves == ()
    assert "few different" in metrics.curves_undefined


def test_follow_up_that_ends_early_leaves_later_horizons_undefined():
    frame = cohort(500)
    late = frame["followup_days"] > 1000
    frame.loc[late, "fracture"] = 0
    frame["followup_days"] = frame["followup_days"].clip(upper=1000)
    first, second, third, fifth = found(frame).horizons
    assert first.auc.value
    assert second.auc.value
    for horizon in (third, fifth):
        assert "0 are followed" in horizon.auc.undefined
        assert horizon.observed.undefined == horizon.brier.undefined == horizon.auc.undefined


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("fracture", 2, "fracture that is not 0 or 1"),
        ("followup_days", -1.0, "negative or infinite"),
        ("followup_days", np.inf, "negative or infinite"),
        ("risk_2y", 1.2, "risk_2y outside of 0 to 1"),
        ("risk_5y", 0.0, "risk_5y below that of fewer years"),
    ],
)
def test_rows_that_cannot_be_are_named(column, value, said):
    frame = cohort(50)
    frame.loc[7, column] = value
    with pytest.raises(ValueError, match=said) as e:
        fracture_metrics(frame, SETTINGS)
    assert "k000007" in str(e.value)
    assert "\n" not in str(e.value)


def test_a_large_cohort_takes_seconds():
    import time

    frame = cohort(100_000, seed=8)
    found(cohort(200))  # kernels are compiled once
    started = time.perf_counter()
    found(frame)
    assert time.perf_counter() - started < 20
