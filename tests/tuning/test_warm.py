"""What another sweep found is tried first, as far as it belongs to this one's space."""

from __future__ import annotations

import pytest

from tests.tuning.trials import FAIL, add
from tuning.draw import draw
from tuning.store import open_study
from tuning.sweep import Sweep
from tuning.warm import first, fit


@pytest.fixture
def other(changes):
    sweep = Sweep.of("ospenscreen:smoke", [*changes, "seed=5"])
    study = open_study(sweep)
    for lr, score in [(0.001, 0.6), (0.002, 0.8), (0.004, 0.7), (0.005, 0.5), (0.002, 0.75)]:
        add(sweep, study, [score], params={"student.lr": lr, "teacher.lr": 0.003})
    add(sweep, study, None, FAIL, params={"student.lr": 0.009, "teacher.lr": 0.003})
    return sweep


@pytest.fixture
def sweep(changes, other):
    return Sweep.of("ospenscreen:smoke", changes, warm=other.folder)


def test_the_best_come_first_each_once_and_are_tried_after_the_recipe(sweep, capsys):
    wanted = [{"student.lr": lr, "teacher.lr": 0.003} for lr in (0.002, 0.004)]
    assert first(sweep) == wanted
    assert "2 settings of" in capsys.readouterr().out
    study = open_study(sweep)
    trials = [draw(sweep, study, slot) for slot in range(4)]
    assert trials[0].params["student.lr"] == sweep.base.student.lr
    for trial, params in zip(trials[1:], wanted, strict=False):
        assert {n: trial.params[n] for n in params} == params
    assert trials[3].params["student.lr"] not in (0.002, 0.004)


def test_they_are_looked_up_once(sweep, other):
    before = first(sweep)
    add(other, open_study(other), [0.99], params={"student.lr": 0.006, "teacher.lr": 0.003})
    assert first(sweep) == before
    (sweep.folder / "warm.json").write_text("{torn")
    with pytest.raises(ValueError, match=r"warm\.json: torn"):
        first(sweep)


def test_what_does_not_fit_is_left_out_and_said(changes, other, capsys):
    study = open_study(other)
    params = {"student.lr": 9.0, "teacher.lr": 0.002, "image.lr": 0.1, "student.weight_decay": 0.1}
    add(other, study, [0.99], params=params)
    sweep = Sweep.of(
        "ospenscreen:smoke", [*changes, "student.weight_decay=0.05"], warm=other.folder
    )
    assert first(sweep)[0] == {"teacher.lr": 0.002}
    said = capsys.readouterr().out
    assert "student.lr=9.0 is outside " in said
    assert "image.lr=0.1 is not searched here" in said
    assert "student.weight_decay=0.1 is fixed here" in said


def test_a_parameter_that_hangs_on_another_goes_with_it(changes):
    sweep = Sweep.of("ospenscreen:smoke", [*changes, "student.alpha=0"])
    fits, why = fit(sweep, {"student.temperature": 2.0, "student.lr": 0.002})
    assert fits == {"student.lr": 0.002}
    assert why == ["student.temperature=2.0 is not searched here"]


def test_nothing_to_start_from_is_an_error(changes, other, tmp_path):
    with pytest.raises(ValueError, match="no sweep's folder"):
        first(Sweep.of("ospenscreen:smoke", changes, warm=tmp_path / "nowhere"))
    empty = Sweep.of("ospenscreen:smoke", [*changes, "seed=8"])
    open_study(empty)
    with pytest.raises(ValueError, match="none of its trials is complete"):
        first(Sweep.of("ospenscreen:smoke", changes, warm=empty.folder))
    assert first(Sweep.of("ospenscreen:smoke", changes)) == []
