"""Weights of the best trials stay, those of others go; runs at work and shared files are let be."""

from __future__ import annotations

import json
import os

import pytest

from data_sharding.private import only_one
from tests.tuning.trials import COMPLETE, FAIL, PRUNED, RUNNING, add, leave
from training.folder import complete
from tuning.keep import large, prune, size
from tuning.store import open_study
from tuning.sweep import Sweep


@pytest.fixture
def sweep(changes):
    return Sweep.of("ospenscreen:smoke", changes, keep=2)


@pytest.fixture
def study(sweep):
    return open_study(sweep)


def with_weights(sweep):
    return sorted(
        p.name
        for p in sweep.folder.iterdir()
        if p.is_dir() and (p / "student" / "weights" / "model.safetensors").exists()
    )


def test_the_best_keep_their_weights_and_the_others_their_records(sweep, study, capsys):
    runs = [
        leave(sweep.folder / add(sweep, study, values, state))
        for values, state in [
            ([0.7], COMPLETE),
            ([0.9], COMPLETE),
            (None, PRUNED),
            ([0.8], COMPLETE),
            (None, FAIL),
            (None, RUNNING),
        ]
    ]
    prune(sweep, study)
    assert with_weights(sweep) == sorted([runs[1].name, runs[3].name, runs[5].name])
    for run in runs:
        kept = run in (runs[1], runs[3], runs[5])
        assert complete(run) == kept
        assert json.loads((run / "run.json").read_text())["complete"] == kept
        assert bool(large(run)) == kept
        assert (run / "cohorts" / "here-tune" / "predictions.parquet").stat().st_size == 1000
        assert (run / "teacher" / "metrics.jsonl").read_text()
    said = capsys.readouterr().out + capsys.readouterr().err
    assert said.count("its weights are removed (4 kB freed)") == 3
    prune(sweep, study)
    assert "removed" not in capsys.readouterr().out


def test_equal_settings_are_one_run_that_stays_with_its_best_trial(sweep, study):
    shared = leave(sweep.folder / "ospenscreen-smoke-shared")
    add(sweep, study, [0.9], run=shared.name)
    add(sweep, study, [0.8])
    add(sweep, study, [0.7])
    add(sweep, study, [0.1], run=shared.name)  # as bad as one may be, in the same folder
    prune(sweep, study)
    assert complete(shared)


def test_equal_trials_count_as_one_of_the_best(sweep, study):
    shared = leave(sweep.folder / "ospenscreen-smoke-shared")
    for _ in range(3):
        add(sweep, study, [0.9], run=shared.name)
    others = [leave(sweep.folder / add(sweep, study, [v])) for v in (0.8, 0.7)]
    prune(sweep, study)
    assert [complete(r) for r in (shared, *others)] == [True, True, False]


def test_a_run_that_another_trial_works_on_is_left_alone(sweep, study):
    shared = leave(sweep.folder / "ospenscreen-smoke-shared")
    for value in (0.9, 0.8):
        add(sweep, study, [value])
    add(sweep, study, [0.1], run=shared.name)
    add(sweep, study, None, RUNNING, run=shared.name)
    prune(sweep, study)
    assert complete(shared)


def test_a_run_that_a_command_holds_is_left_alone(sweep, study, capsys):
    for value in (0.9, 0.8, 0.1):
        run = leave(sweep.folder / add(sweep, study, [value]))
    with only_one(run):
        prune(sweep, study)
    assert complete(run)
    assert "its weights stay" in capsys.readouterr().out
    prune(sweep, study)
    assert not complete(run)


def test_files_with_another_name_stay_under_it(sweep, study, capsys):
    runs = [leave(sweep.folder / add(sweep, study, [v])) for v in (0.9, 0.8, 0.1)]
    mine, other = (r / "teacher" / "weights" / "model.safetensors" for r in (runs[2], runs[0]))
    other.unlink()
    os.link(mine, other)
    prune(sweep, study)
    assert not mine.exists()
    assert other.read_bytes() == b"x" * 1000
    assert "(3 kB freed)" in capsys.readouterr().out


def test_a_removal_that_was_killed_is_finished(sweep, study):
    for value in (0.9, 0.8, 0.1):
        run = leave(sweep.folder / add(sweep, study, [value]))
    (run / "student" / "weights").rename(run / "student" / ".removed-weights")
    assert not complete(run)
    prune(sweep, study)
    assert not large(run)
    assert not list(run.glob("*/.removed*"))


@pytest.mark.parametrize("name", ["..", ".", "", "../../precious", "/precious", 7, None])
def test_a_run_named_by_a_hostile_study_is_not_touched(sweep, study, name, tmp_path):
    precious = leave(tmp_path / "precious")
    (sweep.folder / "link").symlink_to(precious)
    for value in (0.9, 0.8):
        add(sweep, study, [value])
    add(sweep, study, [0.2], run="link")
    slot = len(study.trials)
    add(sweep, study, [0.1])
    study.add_trial(_with(study.trials[slot], slot + 1, name))
    prune(sweep, study)
    assert complete(precious)


def _with(trial, slot, run):
    trial.user_attrs = trial.user_attrs | {"slot": slot, "run": run}
    return trial


def test_sizes_are_read_by_people():
    assert [size(n) for n in (0, 999, 1000, 1234567, 2.5e9, 7e15)] == [
        "0 B",
        "999 B",
        "1 kB",
        "1.23 MB",
        "2.5 GB",
        "7e+03 TB",
    ]
