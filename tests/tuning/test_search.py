"""Sweeps on real, tiny runs in this process: to the end, killed, and with trials that fail."""

from __future__ import annotations

import json
import shlex
import shutil

import optuna
import pytest
import yaml
from typer.testing import CliRunner

from tests.conftest import pack_pictures
from tests.training.test_image import relabel
from training.launch import complete
from training.overrides import override
from training.recipes import recipe
from tuning import search as searching
from tuning.__main__ import app
from tuning.results import best, command, table, write_best
from tuning.search import Sweep, objective, only_one, open_study, revive, search, settled

STATES = optuna.trial.TrialState


class Killed(BaseException):
    """What a kill looks like from within: nothing after it is done."""


@pytest.fixture
def sweep(changes):
    return Sweep.of("ospenscreen:smoke", changes)


@pytest.fixture
def pretend(monkeypatch):
    """Trials without training: the objective is a closed form of what was drawn."""
    calls = []

    def launch(config, folder):
        calls.append(config)
        (folder / "student").mkdir()
        score = 1 - abs(config.student.lr - 0.01) - 0.01 * abs(config.student.temperature - 2)
        record = {"step": 1, "tune/auroc": score}
        (folder / "student" / "metrics.jsonl").write_text(json.dumps(record) + "\n")

    monkeypatch.setattr(searching, "launch", launch)
    return calls


def params(study):
    return [t.params for t in settled(study)]


def test_a_sweep_of_real_runs_and_the_command_that_repeats_its_best(sweep):
    study = search(sweep, 2)
    assert [t.state for t in study.trials] == [STATES.COMPLETE] * 2
    first, second = study.trials
    assert sweep.config(first.user_attrs["overrides"]).identity({}) == sweep.base.identity({})
    assert first.params != second.params
    for trial in study.trials:
        run = sweep.folder / trial.user_attrs["run"]
        assert complete(run)
        assert trial.value == objective(run)
    found = best(study)
    assert found is not None
    facts = yaml.safe_load(write_best(sweep, study).read_text())
    assert facts["tune_auroc"] == max(t.value for t in study.trials)
    words = shlex.split(facts["command"])
    assert words[:4] == ["python", "-m", "training", "ospenscreen:smoke"]
    again = override(recipe(words[3]), words[4:])
    assert again.identity({}) == sweep.config(found.user_attrs["overrides"]).identity({})
    assert again.paths.runs == sweep.base.paths.runs
    # Test and external cohorts are written by every run, and unknown to the search.
    shutil.rmtree(sweep.folder / found.user_attrs["run"] / "cohorts")
    assert objective(sweep.folder / found.user_attrs["run"]) == found.value


def test_the_same_command_goes_on_and_draws_what_an_unbroken_sweep_draws(sweep, changes, pretend):
    search(sweep, 5)
    study = search(sweep, 14)
    assert len(pretend) == 14
    assert search(sweep, 14).trials == study.trials
    assert len(pretend) == 14
    assert len({json.dumps(p) for p in params(study)}) == 14
    calm = search(sweep, 14, fresh=True)
    assert params(calm) == params(study)
    assert [t.value for t in calm.trials] == [t.value for t in study.trials]
    other = Sweep.of("ospenscreen:smoke", [*changes, "seed=1"])
    assert params(search(other, 2))[1] != params(calm)[1]


def test_a_killed_trial_is_taken_up_again(sweep, pretend, monkeypatch):
    real, runs = searching.launch, []

    def dies(config, folder):
        runs.append(folder)
        if len(runs) == 3:
            raise Killed
        real(config, folder)

    monkeypatch.setattr(searching, "launch", dies)
    with pytest.raises(Killed):
        search(sweep, 5)
    with (sweep.folder / "journal.log").open("a") as f:
        f.write('{"op_code": 6, "half a li')
    study = search(sweep, 5)
    assert runs[3] == runs[2]
    assert len(runs) == 6
    assert len(settled(study)) == 5
    assert not study.get_trials(states=(STATES.RUNNING, STATES.WAITING))
    assert study.trials[2].state == STATES.FAIL
    assert study.trials[2].user_attrs["why"] == "killed while it ran, 1 time(s)"
    assert params(study) == params(search(sweep, 5, fresh=True))


def test_a_trial_that_always_kills_is_given_up(sweep, pretend, monkeypatch):
    monkeypatch.setattr(searching, "launch", lambda *_: (_ for _ in ()).throw(Killed()))
    for _ in range(searching.ATTEMPTS):
        with pytest.raises(Killed):
            search(sweep, 2)
    study = open_study(sweep)
    revive(study)
    assert len(settled(study)) == 1
    assert not study.get_trials(states=(STATES.WAITING,))


def test_failed_and_undefined_trials_are_recorded_and_the_sweep_goes_on(
    sweep, pretend, monkeypatch
):
    real, n = searching.launch, 0

    def fails(config, folder):
        nonlocal n
        n += 1
        if n == 1:
            raise RuntimeError("out of memory")
        real(config, folder)
        if n == 2:
            (folder / "student" / "metrics.jsonl").write_text('{"step": 1, "train/loss": NaN}\n')

    monkeypatch.setattr(searching, "launch", fails)
    study = search(sweep, 4)
    assert [t.state for t in study.trials] == [STATES.FAIL] * 2 + [STATES.COMPLETE] * 2
    run = sweep.folder / study.trials[0].user_attrs["run"]
    assert "RuntimeError: out of memory" in (run / "error.txt").read_text()
    text = table(study)
    assert "trial 0 failed: RuntimeError: out of memory" in text
    assert "no tune/auroc in its last record" in text
    assert len(text.splitlines()) == 1 + 4 + 2
    found = best(study)
    assert found is not None
    assert found.value == max(t.value for t in study.trials[2:])
    assert command(sweep, found).startswith("python -m training ospenscreen:smoke paths.internal=")


def test_two_processes_do_not_share_a_sweep(sweep, pretend):
    sweep.folder.mkdir(parents=True)
    with only_one(sweep.folder), pytest.raises(ValueError, match="another process runs this sweep"):
        search(sweep, 1)
    assert not pretend


def test_other_settings_are_another_sweep_and_another_place_is_not(sweep, changes):
    def folder(*more):
        return Sweep.of("ospenscreen:smoke", [*changes, *more]).folder

    assert folder("student.lr=0.003") != sweep.folder  # fixed, though to the recipe's own value
    assert folder("seed=3") != sweep.folder
    assert folder() == sweep.folder


def test_the_command(changes, pretend):
    run = CliRunner().invoke
    done = run(app, ["ospenscreen:smoke", "--trials", "2", *changes])
    assert done.exit_code == 0, done.output
    assert "tune AUROC" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("python -m training ospenscreen:smoke")
    for wrong in (["ospenscren"], ["ospenscreen:smoke", "student.lrr=1"]):
        refused = run(app, wrong)
        assert refused.exit_code == 2
        assert "Did you mean" in refused.output
    missing = run(app, ["ospenscreen:smoke", "paths.internal=/nowhere"])
    assert missing.exit_code == 2
    assert "no manifest here" in missing.output


def test_a_sweep_without_a_complete_trial_says_so(changes, pretend, monkeypatch):
    def fails(*_):
        raise RuntimeError("no")

    monkeypatch.setattr(searching, "launch", fails)
    done = CliRunner().invoke(app, ["ospenscreen:smoke", "--trials", "1", *changes])
    assert done.exit_code == 1
    assert "no trial was completed" in done.output


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
    assert [set(p) for p in params(study)] == [{"image.lr", "image.weight_decay"}] * 2
    for trial in study.trials:
        path = sweep.folder / trial.user_attrs["run"] / "image" / "metrics.jsonl"
        assert trial.value == json.loads(path.read_text().splitlines()[-1])["tune/auroc"]
