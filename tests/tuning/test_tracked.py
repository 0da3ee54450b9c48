"""What W&B is told of trials: one run for each, as it ended, in the sweep's group."""

from __future__ import annotations

import json
import shutil

import optuna
import pytest

from tests.training.tracking.logs import logged
from tests.tuning import pretend
from training.interrupt import Interrupted
from training.overrides import override
from training.tracking.sync import sync
from tuning import tracked
from tuning import trial as trials
from tuning.search import search, settled
from tuning.store import open_study
from tuning.sweep import Sweep

STATES = optuna.trial.TrialState


@pytest.fixture
def sweep(changes):
    return Sweep.of("ospenscreen:smoke", [*changes, "track.wandb=offline"])


def log_of(sweep, trial):
    (path,) = (sweep.folder / trial.user_attrs["run"]).glob("wandb/offline-run-*/*.wandb")
    return logged(path)


def settings_of(log):
    return {item.key: json.loads(item.value_json) for item in log.run.config.update}


def numbers_of(log, prefix):
    return {k.removeprefix(prefix): v for k, v in log.summary.items() if k.startswith(prefix)}


def test_every_way_to_end_is_one_run(sweep, monkeypatch):
    monkeypatch.setattr(trials, "train", pretend.unlucky)
    found = settled(search(sweep, 7))
    logs = [log_of(sweep, trial) for trial in found]
    assert {(log.run.job_type, log.run.run_group) for log in logs} == {("run", sweep.folder.name)}
    assert len({log.run.run_id for log in logs}) == 7
    for slot, (trial, log) in enumerate(zip(found, logs, strict=True)):
        assert log.ended
        end = numbers_of(log, "trial/")
        assert end.pop("slot") == slot
        ended = {
            "complete": int(trial.state == STATES.COMPLETE),
            "pruned": int(trial.state == STATES.PRUNED),
            "failed": int(trial.state == STATES.FAIL),
        }
        assert {n: end.pop(n) for n in ended} == ended
        if trial.state == STATES.COMPLETE:
            assert end == {"objective/auroc_low": trial.values[0]}
            assert [h["_step"] for h in log.history] == [3, 6, 9]
            assert [h["training"] for h in log.history] == [1, 2, 2]
        else:
            assert end == {}
        given = override(sweep.base, trial.user_attrs["overrides"])
        assert settings_of(log)["student"]["lr"] == given.student.lr
    # what went wrong names files, and stays here with what it said
    told = b"".join(p.read_bytes() for p in sweep.folder.glob("*/wandb/offline-run-*/*.wandb"))
    assert b"out of memory" not in told
    assert "Traceback" in (sweep.folder / found[1].user_attrs["run"] / "error.txt").read_text()


def test_stopped_early_it_says_where(sweep, monkeypatch):
    monkeypatch.setattr(trials, "train", pretend.train)
    monkeypatch.setattr(trials._Work, "_is_pruned", lambda work: work._trial().last_step == 6)
    (trial,) = settled(search(sweep, 1))
    assert trial.state == STATES.PRUNED
    end = numbers_of(log_of(sweep, trial), "trial/")
    assert end == {"slot": 0, "complete": 0, "pruned": 1, "failed": 0, "pruned_at": 6}


def test_sync_tells_the_same_and_a_missing_run_is_written(sweep, monkeypatch):
    monkeypatch.setattr(trials, "train", pretend.train)
    (trial,) = settled(search(sweep, 1))
    folder = sweep.folder / trial.user_attrs["run"]
    before = log_of(sweep, trial)
    said: list[str] = []
    sync(folder, None, "offline", said.append)
    assert said[0].startswith("run: nothing new")
    shutil.rmtree(folder / "wandb")
    sync(folder, None, "offline", lambda _: None)
    again = log_of(sweep, trial)
    assert again.run.run_id == before.run.run_id
    assert numbers_of(again, "trial/") == numbers_of(before, "trial/")


def test_w_and_b_that_hangs_or_fails_keeps_no_trial_up(sweep, monkeypatch, capfd):
    monkeypatch.setattr(trials, "train", pretend.train)
    monkeypatch.setattr(tracked, "SEND_S", 0.5)
    monkeypatch.setattr(tracked, "send", pretend.hangs)
    assert settled(search(sweep, 1))[0].state == STATES.COMPLETE
    monkeypatch.setattr(tracked, "send", pretend.fails)
    monkeypatch.setattr(tracked, "SEND_S", 60)
    first, second = settled(search(sweep, 2))
    assert second.state == STATES.COMPLETE
    said = capfd.readouterr().out
    assert "trial 0: W&B has not all of it (it took longer than 0.5 s); later: python -m" in said
    assert "trial 1: W&B has not all of it (ImportError: no such library)" in said
    # nor does a disk that cannot be written to
    folder = sweep.folder / first.user_attrs["run"]
    shutil.rmtree(folder / tracked.STAGE)
    (folder / tracked.STAGE).write_text("in the way")
    tracked.track(sweep, folder, first, tracked.End(STATES.COMPLETE, [0.5]), lambda: None)
    assert "trial 0: W&B has not all of it" in capfd.readouterr().out


class Killed(BaseException):
    """As far as the study and the files go, what SIGKILL leaves."""


@pytest.mark.parametrize("ends", ["complete", "pruned", "failed"])
@pytest.mark.parametrize("told", [False, True], ids=["before W&B has it", "before the study has"])
def test_killed_between_w_and_b_and_the_study_it_is_one_run(sweep, monkeypatch, ends, told):
    monkeypatch.setattr(trials, "train", pretend.fails if ends == "failed" else pretend.train)
    if ends == "pruned":
        monkeypatch.setattr(trials._Work, "_is_pruned", lambda work: work._trial().last_step == 6)

    def killed(*args):
        if told:
            tracked.track(*args)
        raise Killed

    monkeypatch.setattr(trials, "track", killed)
    with pytest.raises(Killed):
        search(sweep, 1)
    assert not settled(open_study(sweep))
    monkeypatch.setattr(trials, "track", tracked.track)
    (trial,) = settled(search(sweep, 1))
    log = log_of(sweep, trial)  # the only one
    assert log.ended
    assert numbers_of(log, "trial/")[ends] == 1


def test_asked_to_stop_while_w_and_b_hangs_the_trial_goes_on_later(sweep, monkeypatch):
    monkeypatch.setattr(trials, "train", pretend.train)
    monkeypatch.setattr(tracked, "send", pretend.hangs)
    monkeypatch.setattr(trials._Work, "_still_ours", stopped)
    with pytest.raises(Interrupted):
        search(sweep, 1)
    monkeypatch.undo()
    monkeypatch.setattr(trials, "train", pretend.train)
    (trial,) = settled(search(sweep, 1))
    assert trial.state == STATES.COMPLETE
    assert log_of(sweep, trial).ended


def stopped(work):
    if (work.sweep.folder / work._trial().user_attrs["run"] / tracked.STAGE).exists():
        raise Interrupted("asked to stop")
