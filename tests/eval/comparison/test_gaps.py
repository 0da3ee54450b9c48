"""Subgroup gaps of several runs: theirs as they are, and nothing of groups that are kept back."""

from __future__ import annotations

import json

import numpy as np
import pytest

from eval import comparison
from eval.cohort import Settings
from eval.comparison.gaps import widest
from eval.comparison.page import render, write_comparison
from tests.eval.browser import check_fits, needs_browser
from tests.eval.comparison.test_drift import make_run
from tests.eval.conftest import cohort_frame


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    root = tmp_path_factory.mktemp("gaps")
    here = cohort_frame("here-test", 160, 1)
    # Three patients of a maker: kept back, and GE with them so that nobody can subtract.
    number = here["patient"].str[-3:].astype(int)
    makers = np.select([number < 3, number < 60], ["Kodak", "GE"], "Canon")
    here = here.assign(vendor=makers)
    tuned = cohort_frame("here-tune", 80, 3)
    first = make_run(root / "a", {"here-test": here, "here-tune": tuned})
    return first, make_run(root / "b", {"here-test": here.assign(vendor="Canon")})


@pytest.fixture(scope="module")
def made(two):
    return comparison.compare(two, Settings(draws=40))


def test_they_are_the_runs_own(two, made):
    for run in two:
        metrics = json.loads((run / "cohorts" / "here-test" / "metrics.json").read_text())
        for model in metrics["models"]:
            for g in model["subgroups"]:
                place = run.name, model["model"], g["by"], g["level"]
                found = [r for r in made.gaps if (r.run, r.model, r.by, r.level) == place]
                if " x " in g["by"] or (g["performance"] and not g["performance"]["n"]):
                    assert not found
                    continue
                (row,) = found
                plain = row.model_dump(mode="json")
                assert plain["gap"] == g["gap"]
                assert plain["suppressed"] == g["suppressed"]
                assert plain["auroc"] == (g["performance"] and g["performance"]["auroc"])
    assert {r.cohort for r in made.gaps} == {"here-test"}


def test_small_groups_stay_kept_back_on_the_page(made):
    away = [r for r in made.gaps if r.suppressed]
    assert {r.level for r in away if (r.run, r.by) == ("a", "vendor")} == {"Kodak", "GE"}
    assert all((r.n, r.patients, r.auroc, r.gap) == (None,) * 4 for r in away)
    assert "kept back: fewer than 5 patients" in render(made)


def test_the_widest_is_the_widest(made):
    for held in widest(made.gaps):
        assert held.gap
        here = [
            abs(r.gap.auroc.value)
            for r in made.gaps
            if (r.cohort, r.run, r.model) == (held.cohort, held.run, held.model)
            and r.gap
            and r.gap.auroc.value is not None
        ]
        assert abs(float(held.gap.auroc)) == max(here)
    assert len(widest(made.gaps)) == 4


def test_a_comparison_of_an_earlier_format_is_written_over(made, tmp_path):
    (tmp_path / "compare.json").write_text('{"format": "osteoray-comparison/1"}')
    _, data = write_comparison(made, tmp_path)
    assert json.loads(data.read_text())["gaps"]


@needs_browser
def test_nothing_is_wider_than_the_page(made, tmp_path):
    check_fits(render(made), tmp_path, tables=3)
