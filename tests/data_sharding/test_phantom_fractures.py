"""Fractures of the phantom world: the law that is stated, found again in what was written."""

from __future__ import annotations

import csv
from datetime import date

import numpy as np
import pytest
from scipy.stats import kstest

from data_sharding.phantom import fractures
from data_sharding.phantom.fractures import fracture_of, fracture_rows, yearly_hazard
from data_sharding.phantom.stories import tell
from data_sharding.phantom.vendors import ASAN, NORTH
from data_sharding.phantom.world import make_world


@pytest.fixture(scope="module")
def lives():
    """(story, followed) of 3,000 patients."""
    stories = [tell(8, ASAN, k) for k in range(3000)]
    return [(story, fracture_of(8, ASAN, story)) for story in stories]


def test_times_to_fractures_follow_the_stated_hazard(lives, monkeypatch):
    """Cumulative hazard at the fracture is exponential, whatever the latent and the age."""
    monkeypatch.setattr(fractures, "LONGEST_DAYS", 2_900_000)  # nobody is censored
    monkeypatch.setattr(fractures, "SHORTEST_DAYS", 2_899_999)
    spent = []
    for story, _ in lives:
        found = fracture_of(8, ASAN, story)
        lost = found and found[0] < story.shots[0].day  # with early fractures only
        if found and found[1] and not lost:
            start = min(shot.day for shot in story.shots)
            days = (found[1] - start).days + fractures.BEFORE_DAYS - 0.5
            spent.append(days / 365.25 * yearly_hazard(story.latent, story.age))
    assert len(spent) > 2500
    assert kstest(spent, "expon").pvalue > 0.01


def test_fractures_seen_are_as_many_as_expected(lives):
    """From the index picture on, of those without a fracture before: hazard times years."""
    expected = seen = 0.0
    for story, found in lives:
        day = story.shots[0].day
        if found is None or found[0] < day or (found[1] and found[1] <= day):
            continue
        years = ((found[1] or found[0]) - day).days / 365.25
        expected += years * yearly_hazard(story.latent, story.age)
        seen += found[1] is not None
    assert abs(seen - expected) < 3 * np.sqrt(expected)


def test_each_kind_of_follow_up_occurs(lives):
    days = [(story.shots[0].day, found) for story, found in lives]
    kinds = {
        "unknown": sum(f is None for _, f in days),
        "prevalent": sum(bool(f and f[1] and f[1] <= d) for d, f in days),
        "lost": sum(bool(f and f[0] < d) for d, f in days),
        "broken": sum(bool(f and f[1] and f[1] > d) for d, f in days),
    }
    assert kinds["unknown"] == pytest.approx(300, abs=60)
    assert kinds["lost"] == pytest.approx(54, abs=25)
    assert kinds["prevalent"] > 100
    assert kinds["broken"] > 250
    for _, found in days:
        assert not found or not found[1] or found[1] <= found[0]


def test_worlds_differ_by_seed_and_site_and_not_by_the_call():
    stories = [tell(3, ASAN, k) for k in range(40)]
    assert fracture_rows(3, ASAN, stories) == fracture_rows(3, ASAN, stories)
    assert fracture_rows(3, ASAN, stories) != fracture_rows(4, ASAN, stories)
    assert fracture_rows(3, ASAN, stories) != fracture_rows(3, NORTH, stories)


def test_the_world_writes_the_table(tmp_path):
    make_world(tmp_path, internal=4, external=2, public=1, size=64, workers=1)
    for site, n in ((ASAN, 4), (NORTH, 2)):
        with (tmp_path / site.name / "fractures.csv").open() as f:
            rows = [list(row.values()) for row in csv.DictReader(f)]
        assert rows == fracture_rows(0, site, [tell(0, site, k) for k in range(n)])
        for _, last_seen, fracture in rows:
            assert not fracture or date.fromisoformat(fracture) <= date.fromisoformat(last_seen)
    assert not (tmp_path / "public" / "fractures.csv").exists()
