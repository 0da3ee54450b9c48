"""Sweeps to their end: real ones, and ones whose trials fail in every way they can."""

from __future__ import annotations

import json
import os
import signal
import threading

import optuna
import pytest
from typer.testing import CliRunner

from tests.conftest import pack_pictures
from tests.training.test_image import relabel
from tests.tuning import pretend
from tests.tuning.drivers import told
from training.config import Config
from training.folder import complete
from training.interrupt import Interrupted
from tuning import trial as trials
from tuning.__main__ import app
from tuning.claims import claims_of
from tuning.draw import draw
from tuning.objectives import objectives
from tuning.search import search, settled
from tuning.store import open_study
from tuning.sweep import Sweep

STATES = optuna.trial.TrialState


@pytest.fixture
def sweep(changes):
    return Sweep.of("ospenscreen:smoke", changes)


@pytest.fixture
def pretended(monkeypatch):
    monkeypatch.setattr(trials, "train", pretend.train)


def begun(sweep):
    return (sweep.folder / "begun.txt").read_text().split()


def test_a_sweep_of_real_runs(sweep):
    study = search(sweep, 2)
    assert [t.state for t in settled(study)] == [STATES.COMPLETE] * 2
    first, second = settled(study)
    assert sweep.config(first.user_attrs["overrides"]).identity({}) == sweep.base.identity({})
    assert first.params != second.params
    for trial in (first, second):
        run = sweep.folder / trial.user_attrs["run"]
        assert complete(run)
        assert trial.values == objectives(run, ["auroc_low"])
        # what a sweep must not know is not there to be known
        assert [p.name for p in (run / "cohorts").iterdir()] == ["here-tune"]
        config = Config.from_yaml(run / "config.yaml")
        assert (config.predict, config.paths.external) == ("tune", ())
        records = [
            json.loads(line)
            for stage in ("teacher", "student")
            for line in (run / stage / "metrics.jsonl").read_text().splitlines()
        ]
        steps = [r["step"] for r in records]
        reported = {steps[0]: records[0]["tune/auroc"], sum(steps): records[1]["tune/auroc"]}
        assert trial.intermediate_values == reported
    assert Sweep.at(sweep.folder) == sweep


def test_the_same_command_goes_on_and_draws_what_an_unbroken_sweep_draws(sweep, changes, pretended):
    search(sweep, 2)
    search(sweep, 5)
    parts = told(sweep)
    assert len(begun(sweep)) == len(set(begun(sweep))) == 5
    search(sweep, 5)
    assert told(sweep) == parts
    assert len(begun(sweep)) == 5
    search(sweep, 5, fresh=True)
    assert told(sweep) == parts
    assert len(begun(sweep)) == 5
    other = Sweep.of("ospenscreen:smoke", [*changes, "seed=1"])
    search(other, 2)
    assert told(other)[1]["params"] != parts[1]["params"]


def test_trials_end_badly_in_every_way_and_the_sweep_goes_on(sweep, monkeypatch):
    monkeypatch.setattr(trials, "train", pretend.unlucky)
    study = search(sweep, 7)
    found = settled(study)
    assert [t.state for t in found] == [STATES.COMPLETE] + [STATES.FAIL] * 5 + [STATES.COMPLETE]
    why = [t.user_attrs.get("why", "") for t in found]
    assert why[1] == "RuntimeError: CUDA out of memory: tried to allocate 4 GiB"
    assert why[2] == "killed by signal 9 (out of memory?)"
    assert why[3].startswith("ValueError: the loss is not finite any more")
    assert why[4] == "ended with exit code 70"
    assert "not finite" in why[5]
    error = sweep.folder / found[1].user_attrs["run"] / "error.txt"
    assert "Traceback" in error.read_text()
    search(sweep, 7)  # what has failed is not tried again
    assert [t.state for t in settled(study)] == [t.state for t in found]


def test_settings_that_do_not_go_together_fail_a_trial(sweep, monkeypatch, pretended):
    monkeypatch.setattr(
        Sweep, "suggest", lambda _, trial: [f"student.alpha={trial.suggest_float('a', 2, 3)}"]
    )
    (trial,) = settled(search(sweep, 1))
    assert trial.state == STATES.FAIL
    assert trial.user_attrs["why"].startswith("refused: student.alpha")


def test_equal_settings_are_run_once(sweep, monkeypatch, pretended):
    monkeypatch.setattr(Sweep, "suggest", lambda _, trial: ["student.lr=0.005"])
    study = search(sweep, 3)
    assert len(begun(sweep)) == 1
    assert len({tuple(t.values) for t in settled(study)}) == 1
    assert len({t.user_attrs["run"] for t in settled(study)}) == 1
    assert len({tuple(t.intermediate_values.items()) for t in settled(study)}) == 1


def test_a_full_disk_stops_the_sweep_and_fails_no_trial(sweep, monkeypatch):
    monkeypatch.setattr(trials, "train", pretend.full)
    for _ in range(5):  # however often it is tried
        with pytest.raises(Interrupted, match="disk is full"):
            search(sweep, 2)
    assert settled(open_study(sweep)) == []
    monkeypatch.setattr(trials, "train", pretend.train)
    assert [t.state for t in settled(search(sweep, 2))] == [STATES.COMPLETE] * 2


def test_asked_to_stop_it_stops_between_two_steps_and_goes_on(sweep, monkeypatch):
    monkeypatch.setattr(trials, "train", pretend.slow)

    def ask():
        while not (sweep.folder / "ready").exists():
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    asking = threading.Thread(target=ask)
    asking.start()
    with pytest.raises(Interrupted):
        search(sweep, 1)
    asking.join()
    (trial,) = open_study(sweep).trials
    assert trial.state == STATES.RUNNING
    assert trial.user_attrs["attempt"] == 0
    (done,) = settled(search(sweep, 1))
    assert (done.state, done.number) == (STATES.COMPLETE, trial.number)


def test_data_that_does_not_fit_is_said_before_any_trial(changes, packs):
    swapped = [*changes, f"paths.internal={packs['public']}", f"paths.public={packs['internal']}"]
    sweep = Sweep.of("ospenscreen:smoke", swapped)
    with pytest.raises(ValueError, match="packed as public"):
        search(sweep, 2)
    assert not open_study(sweep).trials


def test_nothing_is_deleted_while_somebody_works(sweep, pretended):
    search(sweep, 1)
    claim = claims_of(sweep.folder, None).take(1)
    assert claim is not None
    with claim, pytest.raises(ValueError, match="trial 1 is being worked on"):
        search(sweep, 2, fresh=True)
    assert len(begun(sweep)) == 1


def test_another_search_is_another_sweep_and_another_place_is_not(sweep, changes):
    def folder(*more, **how):
        return Sweep.of("ospenscreen:smoke", [*changes, *more], **how).folder

    assert folder("student.lr=0.003") != sweep.folder  # fixed, though to the recipe's own value
    others = [
        folder("seed=3"),
        folder(sampler="random"),
        folder(pruner="none"),
        folder(objectives=["auroc"]),
        folder(objectives=["auroc", "cost"]),
        folder(warm=sweep.folder),
    ]
    assert len({sweep.folder, *others}) == 7
    assert folder() == folder(storage="sqlite:///x.db", concurrent=3, keep=1) == sweep.folder


def test_a_trial_whose_driver_is_killed_before_each_report_is_given_up(sweep, pretended):
    study = open_study(sweep)
    trial = draw(sweep, study, 0)
    study._storage.set_trial_user_attr(trial._trial_id, "attempt", trials.ATTEMPTS)
    first, second = settled(search(sweep, 2))
    assert (first.state, second.state) == (STATES.FAIL, STATES.COMPLETE)
    assert first.user_attrs["why"] == "killed while it ran, 3 times"
    assert len(begun(sweep)) == 1


def test_a_trial_that_came_further_each_time_is_not_given_up(sweep, pretended):
    study = open_study(sweep)
    trial = draw(sweep, study, 0)
    known = {3: pretend.score(sweep.config(trial.user_attrs["overrides"]))}
    for step, score in known.items():
        study._storage.set_trial_intermediate_value(trial._trial_id, step, score)
    study._storage.set_trial_user_attr(trial._trial_id, "attempt", trials.ATTEMPTS)
    (done,) = settled(search(sweep, 1))
    assert done.state == STATES.COMPLETE
    assert done.user_attrs["attempt"] < 2  # the count began anew
    assert set(done.intermediate_values) == {3, 6, 9}


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"sampler": "tpee"}, "did you mean tpe"),
        ({"pruner": "asah"}, "did you mean asha"),
        ({"objectives": ["auc"]}, "--objective auc"),
        ({"objectives": ["c"]}, "no survival model"),
        ({"space": "nobodys"}, "no search space"),
        ({"concurrent": 0}, "--concurrent 0"),
    ],
)
def test_what_there_is_not_is_refused(changes, how, said):
    with pytest.raises(ValueError, match=said):
        Sweep.of("ospenscreen:smoke", changes, **how)


def test_the_command(changes, pretended):
    run = CliRunner().invoke
    done = run(app, ["ospenscreen:smoke", "--trials", "2", *changes])
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[-1].startswith("sweep:   ")
    assert "2 trials: 2 complete" in done.stdout
    for wrong in (["ospenscren"], ["ospenscreen:smoke", "student.lrr=1"]):
        refused = run(app, wrong)
        assert refused.exit_code == 2
        assert "Did you mean" in refused.output
    missing = run(app, ["ospenscreen:smoke", "paths.internal=/nowhere"])
    assert missing.exit_code == 2
    assert "no manifest here" in missing.output
    refused = run(app, ["ospenscreen:smoke", "--trials", "2", "--storage", "x", *changes])
    assert refused.exit_code == 2
    assert "--storage" in refused.output


def test_a_sweep_without_a_complete_trial_says_so(changes, monkeypatch):
    monkeypatch.setattr(trials, "train", pretend.fails)
    run = CliRunner().invoke
    done = run(app, ["ospenscreen:smoke", "--trials", "1", *changes])
    assert done.exit_code == 1
    assert "no trial was completed" in done.output
    hopeless = run(app, ["ospenscreen:smoke", "--trials", "9", *changes])
    assert hopeless.exit_code == 2
    assert "all 5 trials failed alike (ImportError: no such library)" in hopeless.output


def test_one_image_model_is_searched_without_a_public_set(tmp_path):
    here = pack_pictures(
        tmp_path / "here", "here", "internal", {"train": 24, "tune": 12, "test": 12}, seed=7
    )
    relabel(here)
    changes = [
        *(f"paths.internal={here}", "paths.public=/nowhere", "paths.external=[]"),
        *(f"paths.runs={tmp_path / 'runs'}", "model.name=test_convnext", "input.size=48"),
        *("image.epochs=1", "image.batch=12", "track.wandb=disabled"),
    ]
    sweep = Sweep.of("three_classes:smoke", changes)
    study = search(sweep, 2)
    assert [t.state for t in settled(study)] == [STATES.COMPLETE] * 2
    for trial in settled(study):
        path = sweep.folder / trial.user_attrs["run"] / "image" / "metrics.jsonl"
        last = json.loads(path.read_text().splitlines()[-1])
        assert trial.intermediate_values == {last["step"]: last["tune/auroc"]}
