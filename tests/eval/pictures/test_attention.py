"""Shares by hand, intervals against a plain loop over patients, and what has no answer."""

from __future__ import annotations

import numpy as np
import pytest

from eval.pictures.attention import NO_MAP, Attention, averaged, mean, of_region, table


def halves(shape=(4, 6)):
    left = np.zeros(shape, bool)
    left[:, : shape[1] // 2] = True
    return {"left": left, "right": ~left}


def test_shares_of_a_known_map():
    cam = np.zeros((4, 6))
    cam[1, 1], cam[2, 4] = 0.75, 0.25
    found = of_region(cam, halves())
    assert found.area == {"left": 0.5, "right": 0.5}
    assert found.share == pytest.approx({"left": 0.75, "right": 0.25})
    assert found.peak == {"left": 1.0, "right": 0.0}


def test_shares_of_a_partition_sum_to_one_whatever_its_edges():
    """Regions with soft edges, as a resized mask has them, against sums written out."""
    rng = np.random.default_rng(0)
    cam = rng.random((9, 7))
    soft = rng.dirichlet(np.ones(3), size=(9, 7))
    found = of_region(cam, {name: soft[..., k] for k, name in enumerate("abc")})
    assert found.share is not None
    assert sum(found.share.values()) == pytest.approx(1)
    for k, name in enumerate("abc"):
        slow = sum(cam[i, j] * soft[i, j, k] for i in range(9) for j in range(7)) / cam.sum()
        assert found.share[name] == pytest.approx(slow)
    # another scale is the same attention
    assert of_region(1e-6 * cam, {"a": soft[..., 0]}).share == pytest.approx(
        {"a": found.share["a"]}
    )


def test_a_peak_that_is_a_plateau_counts_by_its_parts():
    cam = np.zeros((4, 6))
    cam[0, 1:5] = 1.0  # two pixels left, two right
    cam[3, 0] = 0.9
    assert of_region(cam, halves()).peak == {"left": 0.5, "right": 0.5}


def test_a_map_of_zeros_has_no_shares():
    found = of_region(np.zeros((4, 6)), halves())
    assert found.share is None
    assert found.peak is None
    assert found.area["left"] == 0.5


@pytest.mark.parametrize(
    ("cam", "regions"),
    [
        (np.ones((4, 5)), halves()),
        (-np.ones((4, 6)), halves()),
        (np.full((4, 6), np.nan), halves()),
        (np.ones(6), {"a": np.ones(6)}),
        (np.ones((0, 6)), halves()),
        (np.ones((4, 6)), {}),
        (np.ones((4, 6)), {"a": np.full((4, 6), 2.0)}),
        (np.ones((4, 6)), {"a": np.full((4, 6), np.nan)}),
    ],
)
def test_what_is_no_map_or_no_region_is_refused(cam, regions):
    with pytest.raises(ValueError, match=r"map|region"):
        of_region(cam, regions)


def cohort(n=60, repeats=2, seed=0):
    """Pictures of patients who have `repeats` each, alike within a patient; one map is zero."""
    rng = np.random.default_rng(seed)
    patients = np.repeat([f"p{i}" for i in range(n)], repeats)
    pull = np.repeat(rng.random(n), repeats)
    found = []
    for i, p in enumerate(pull):
        cam = rng.random((4, 6)) * np.where(halves()["left"], 1 + 3 * p, 1)
        found.append(of_region(cam if i else 0 * cam, halves()))
    return found, patients


def test_means_and_intervals_agree_with_a_loop_over_patients():
    found, patients = cohort()
    row = table(found, patients)[0]
    share = np.array([np.nan if a.share is None else a.share["left"] for a in found])
    known = ~np.isnan(share)
    assert row.region == "left"
    assert row.share.value == pytest.approx(share[known].mean())
    assert row.enrichment.value == pytest.approx(share[known].mean() / 0.5)
    rng = np.random.default_rng(9)
    names = np.unique(patients[known])
    members = {name: share[known][patients[known] == name] for name in names}
    drawn = [
        np.concatenate([members[k] for k in rng.choice(names, names.size)]).mean()
        for _ in range(2000)
    ]
    assert [row.share.low, row.share.high] == pytest.approx(
        np.quantile(drawn, [0.025, 0.975]), abs=0.006
    )
    # as wide as patients differ, not as pictures do
    alone = mean(share, np.arange(share.size))
    assert row.share.high - row.share.low > 1.2 * (alone.high - alone.low)


def test_a_map_that_looks_everywhere_alike_has_enrichment_one_and_peaks_by_area():
    third = np.zeros((6, 6), bool)
    third[:2] = True
    found = [of_region(np.ones((6, 6)), {"third": third, "rest": ~third}) for _ in range(8)]
    for row, area in zip(table(found, np.arange(8)), (1 / 3, 2 / 3), strict=True):
        assert row.enrichment.value == pytest.approx(1)
        assert row.pointing.value == pytest.approx(area)
        assert row.enrichment.low is None  # all alike: nothing to resample


def test_the_difference_to_the_control_is_paired():
    found, patients = cohort()
    control = [of_region(np.ones((4, 6)), halves()) for _ in found]
    left = table(found, patients, control)[0]
    assert left.control.value == pytest.approx(0.5)
    assert left.above_control.value == pytest.approx(left.share.value - 0.5)
    assert left.above_control.low > 0
    assert table(found, patients)[0].control.undefined == "no control was run"
    same = table(found, patients, found)[0].above_control
    assert same.value == pytest.approx(0)


def test_several_networks_are_averaged_over_those_that_see_anything():
    areas = {"left": 0.5, "right": 0.5}
    one = Attention(areas, {"left": 0.2, "right": 0.8}, {"left": 0.0, "right": 1.0})
    two = Attention(areas, {"left": 0.6, "right": 0.4}, {"left": 1.0, "right": 0.0})
    blind = Attention(areas, None, None)
    found = averaged([one, blind, two])
    assert found.share == pytest.approx({"left": 0.4, "right": 0.6})
    assert found.peak == {"left": 0.5, "right": 0.5}
    assert averaged([blind, blind]).share is None


def test_undefined_because():
    blind = [of_region(np.zeros((4, 6)), halves()) for _ in range(3)]
    for row in table(blind, ["a", "b", "c"], blind):
        for estimate in (row.share, row.enrichment, row.pointing, row.control, row.above_control):
            assert estimate.value is None
            assert estimate.undefined == NO_MAP
        assert row.area.value == 0.5
    one = table([of_region(np.ones((4, 6)), halves())], ["a"])[0]
    assert one.share.value == 0.5
    assert one.share.undefined == "one patient cannot be resampled"
    nowhere = of_region(np.ones((4, 6)), {"hip": np.zeros((4, 6))})
    assert table([nowhere] * 2, ["a", "b"])[0].enrichment.undefined == (
        "the region is in none of the pictures"
    )
    assert table([], []) == ()


def test_other_regions_or_lengths_are_refused():
    a, b = (
        of_region(np.ones((4, 6)), halves()),
        of_region(np.ones((4, 6)), {"left": np.ones((4, 6))}),
    )
    with pytest.raises(ValueError, match="same regions"):
        table([a, b], ["p", "q"])
    with pytest.raises(ValueError, match="1 controls for 2"):
        table([a, a], ["p", "q"], [a])
    with pytest.raises(ValueError, match="patients have shape"):
        table([a, a], ["p"])
