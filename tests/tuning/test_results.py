"""A sweep's table, pictures and page: what is said of each trial, the same bytes each time."""

from __future__ import annotations

import math
import re

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import pyplot
from typer.testing import CliRunner

from tests.eval.browser import check_fits, needs_browser
from tests.tuning.trials import FAIL, PRUNED, RUNNING, add
from tuning.results.page import write_page
from tuning.results.pictures import pictures
from tuning.results.table import lines, score, table
from tuning.show import app
from tuning.store import open_study
from tuning.sweep import Sweep

HOSTILE = "ValueError: <script>alert(1)</script> {{ 7*7 }}\nin /data/secret/patients.csv"


def of(changes, objectives):
    sweep = Sweep.of("ospenscreen:smoke", changes, objectives=objectives)
    study = open_study(sweep)
    rng = np.random.default_rng(3)
    for i in range(11):
        params = {"student.lr": 10 ** rng.uniform(-4, -1), "student.alpha": rng.uniform(0.1, 0.9)}
        if i % 2:
            params["student.temperature"] = rng.uniform(1, 10)
        curve = {24 * s: 0.8 - 0.3 * math.exp(-s / 5) + 0.01 * i for s in range(1, 12)}
        reports = curve if len(objectives) == 1 else {}
        if i == 4:
            cut = dict(list(curve.items())[:5])
            add(sweep, study, None, PRUNED, params=params, reports=cut, pruned_at=120)
        elif i == 6:
            add(sweep, study, None, FAIL, params=params, why=HOSTILE)
        else:
            values = [0.7 + 0.01 * i, 0.02 * (1 + i % 3)][: len(objectives)]
            add(sweep, study, values, params=params, reports=reports)
    add(sweep, study, None, RUNNING)
    return sweep, study


@pytest.fixture(params=[("auroc_low",), ("auroc_low", "gap")], ids=["one", "two"])
def searched(request, changes):
    return of(changes, request.param)


def test_the_table_is_best_first_and_says_what_became_of_the_others(changes):
    sweep, study = of(changes, ("auroc_low",))
    text = table(sweep, study).splitlines()
    assert [row.split()[0] for row in text[1:13]] == [
        *("10", "9", "8", "7", "5", "3", "2", "1", "0", "4", "6", "11")
    ]
    assert "stopped at step 120" in text[10]
    assert "at work" in text[12]
    assert text[13] == f"trial 6 failed: {' '.join(HOSTILE.split())}"
    assert text[14].startswith("12 trials: 9 complete, 1 stopped early, 1 failed, 1 at work")
    assert "0.8000" in text[1]
    # Conditional settings have a dash where they were not drawn.
    assert text[1].split()[-1] == "-"


def test_two_objectives_mark_the_pareto_front(changes):
    sweep, study = of(changes, ("auroc_low", "gap"))
    front = {t.number for t in study.best_trials}
    assert {row.slot for row in lines(sweep, study) if row.on_front} == front
    starred = [r for r in table(sweep, study).splitlines() if re.match(r"\d+ +\*", r)]
    assert {int(row.split()[0]) for row in starred} == front


def test_counts_have_prefixes():
    assert [score("cost", v) for v in (12.0, 4.2e6, 8.71e9, 3e15)] == [
        *("12", "4.2 M", "8.71 G", "3 P")
    ]
    assert score("gap", 0.03) == "0.0300"


def test_pictures_and_page_are_the_same_bytes_and_leave_matplotlib_alone(searched):
    sweep, study = searched
    before = dict(mpl.rcParams)
    first = write_page(sweep, study).read_bytes()
    kept = {p.name: p.read_bytes() for p in (sweep.folder / "pictures").iterdir()}
    assert write_page(sweep, open_study(sweep)).read_bytes() == first
    assert {p.name: p.read_bytes() for p in (sweep.folder / "pictures").iterdir()} == kept
    assert dict(mpl.rcParams) == before
    assert not pyplot.get_fignums()
    several = len(sweep.objectives) > 1
    wanted = {"history-auroc_low", "importances", "parallel"}
    wanted |= {"history-gap", "pareto"} if several else {"curves"}
    assert {name.removesuffix(".svg") for name in kept} >= wanted
    for text in kept.values():
        assert text.startswith(b"<svg")
        assert b"metadata" not in text
        assert b"$" not in text  # mathematics that nothing has set


def test_pictures_show_what_the_study_holds(changes):
    sweep, study = of(changes, ("auroc_low",))
    found = {p.name: p for p in pictures(sweep, study)}
    for text in ("trial 10, the best", "trial 0, the recipe", "stopped early", "others"):
        assert text in found["curves"].svg
    assert "best so far" in found["history-auroc_low"].svg
    for name in ("student.lr", "student.alpha"):
        assert name in found["importances"].svg
    assert "student" in found["parallel"].svg


def test_a_small_study_has_reasons_in_place_of_pictures(changes):
    sweep = Sweep.of("ospenscreen:smoke", changes)
    study = open_study(sweep)
    text = write_page(sweep, study).read_text()
    assert "No trial is complete yet." in text
    assert all(p.svg is None and p.caption for p in pictures(sweep, study))
    assert table(sweep, study).startswith("no trial yet")
    add(sweep, study, [0.7], reports={24: 0.6})
    found = {p.name: p for p in pictures(sweep, study)}
    assert found["history-auroc_low"].svg
    assert found["importances"].svg is None
    assert "too few trials" in found["importances"].caption
    for lr in (0.001, 0.001, 0.002):  # all of one value: nothing mattered
        add(sweep, study, [0.7], params={"student.lr": lr})
    found = {p.name: p for p in pictures(sweep, study)}
    assert "other values" in found["importances"].caption
    assert found["parallel"].svg
    assert (
        "No trial beat the recipe as it is: AUROC low 0.7000."
        in write_page(sweep, study).read_text()
    )


def test_the_page_says_which_is_the_best(searched):
    sweep, study = searched
    text = write_page(sweep, study).read_text()
    front = len(study.best_trials)
    assert (
        "Trial 10 is the best: AUROC low 0.8000. The recipe as it is has AUROC low 0.7000." in text
        if len(sweep.objectives) == 1
        else f"{front} of 9 complete trials are on the Pareto front. By AUROC low the first is "
        "trial 10" in text
    )
    assert "says whether it holds" in text


def test_the_page_holds_no_place_and_no_script(searched):
    sweep, study = searched
    text = write_page(sweep, study).read_text()
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert "49" not in re.findall(r"alert\(1\).{0,40}", text)[0]
    assert "/data/secret" not in text
    assert str(sweep.base.paths.runs) not in text
    assert "default-src 'none'" in text
    assert not re.findall(r"(?:src|href)=\"http", text)


@needs_browser
def test_the_page_fits_a_phone_and_a_desk(searched, tmp_path):
    sweep, study = searched
    (tmp_path / "seen").mkdir()
    check_fits(write_page(sweep, study).read_text(), tmp_path / "seen", tables=2)


def test_the_command_writes_and_prints(searched):
    sweep, _ = searched
    done = CliRunner().invoke(app, [str(sweep.folder)])
    assert done.exit_code == 0, done.output
    assert str(sweep.folder / "sweep.html") in done.output
    assert "stopped at step 120" in done.output
    assert (sweep.folder / "best.yaml").exists()


def test_show_says_whether_any_trial_beat_the_recipe_as_it_is(changes):
    sweep = Sweep.of("ospenscreen:smoke", changes)
    study = open_study(sweep)
    sweep.save()
    add(sweep, study, [0.8])
    add(sweep, study, [0.7])
    said = CliRunner().invoke(app, [str(sweep.folder)]).output
    assert "No trial beat the recipe as it is: AUROC low 0.8000." in said
    assert "python -m tuning confirm" not in said
    add(sweep, study, [0.9])
    said = CliRunner().invoke(app, [str(sweep.folder)]).output
    assert "Trial 2 is the best: AUROC low 0.9000. The recipe as it is has " in said
    assert "optimistic" in said
    assert f"python -m tuning confirm {sweep.folder}" in said
