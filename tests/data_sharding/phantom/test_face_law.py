"""How much of bone each region tells, against least squares and simulation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from data_sharding.faces.regions import REGIONS
from data_sharding.phantom.faces.law import CARRIER, LATENT_SPREAD, READING_ERROR, Law
from data_sharding.phantom.faces.outlook import categories, outlook
from data_sharding.phantom.patients import draw_people, draw_t_scores, referred_for
from data_sharding.phantom.vendors import ASAN

LAW = Law.parse("nasolabial=0.7,jawline=0.3")


def drawn(law: Law, n: int = 40_000) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    latent = rng.normal(-1, LATENT_SPREAD, n)
    return latent, np.array([law.signs(t, rng.normal(0, 1, 5)) for t in latent])


def test_signs_read_best_have_the_error_that_is_said():
    latent, signs = drawn(LAW)
    error = LAW.read(signs) - latent
    assert abs(error.mean()) < 0.01
    assert error.std() == pytest.approx(READING_ERROR, rel=0.02)
    assert abs(np.corrcoef(error, latent)[0, 1]) < 0.02  # whatever the latent


@pytest.mark.parametrize("region", ["nasolabial", "jawline"])
def test_a_regions_error_is_that_of_its_own_regression(region):
    latent, signs = drawn(LAW)
    sign = signs[:, REGIONS.index(region)]
    slope, offset = np.polyfit(latent, sign, 1)  # what the sign is at a latent
    error = (sign - offset) / slope - latent
    assert error.std() == pytest.approx(LAW.region_errors()[region], rel=0.03)


def test_signs_vary_alike_whatever_they_tell():
    latent, signs = drawn(LAW)
    assert signs.std(axis=0) == pytest.approx(np.ones(5), rel=0.03)
    told = np.corrcoef(signs.T, latent)[-1, :5]
    assert told[REGIONS.index("nasolabial")] < told[REGIONS.index("jawline")] < -0.5
    assert abs(told[REGIONS.index("forehead")]) < 0.02
    assert LAW.region_errors()["forehead"] is None


def test_an_option_says_the_weights():
    assert Law.parse() == Law.parse(CARRIER)
    assert sum(Law.parse("jawline").weights) == pytest.approx(1)
    assert Law.parse("jawline").weights[REGIONS.index("jawline")] == 0.9
    assert Law.parse(" forehead = 1 ").weights == (1, 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nose", "no region"),
        ("jawline=0.5", "sum to 0.5"),
        ("jawline=half", "not region=weight"),
        ("jawline=0.5,jawline=0.5", "twice"),
        ("jawline=1.5,midface=-0.5", "sum to"),
        ("jawline=nan", "sum to"),
        (",", "no region"),
    ],
)
def test_weights_that_are_none(text, said):
    with pytest.raises(ValueError, match=said):
        Law.parse(text)


def test_ceilings_are_what_simulated_people_reach():
    site = replace(ASAN, mix=replace(ASAN.mix, referred=referred_for(ASAN.mix, 0.3)))
    said = outlook(site, LAW, 0, [])
    rng = np.random.default_rng(5)
    people = draw_people(rng, site.mix, 60_000)
    category = categories(draw_t_scores(rng, people.latent, people.age).min(axis=1))
    since = rng.normal(49.5, 3.5, len(category))
    taken = np.where(people.female, people.age > since, people.age > 50)
    reading = people.latent + rng.normal(0, LAW.reading_error, len(category))
    y, score = category[taken], -reading[taken]
    ends = y != 1
    want = {
        "normal_or_not": roc_auc_score(y > 0, score),
        "osteoporosis_or_not": roc_auc_score(y == 2, score),
        "normal_or_osteoporosis": roc_auc_score(y[ends] == 2, score[ends]),
    }
    assert said["ceilings"]["face"] == pytest.approx(want, abs=0.008)
    order = [
        said["ceilings"][k]["normal_or_not"] for k in ("clinical", "face_and_clinical", "latent")
    ]
    assert order == sorted(order)
    assert said["patients_at_hand"] == dict.fromkeys(want)  # nobody is here: nothing is said
