"""``track.one_run``: all stages of a run as one W&B run."""

from __future__ import annotations

import json

from typer.testing import CliRunner

from tests.training.tracking.conftest import record, write
from tests.training.tracking.logs import logged
from training.tracking import summarise, tracker_for
from training.tracking.sync import sync
from training.tracking.verbs import app

#: Of a teacher of two epochs and a student of two: step, which training it is, epoch.
STEPS = [(3, 1, 1), (6, 1, 2), (9, 2, 1), (12, 2, 2)]


def train(folder, config, stage, *steps, resume=0):
    tracker = tracker_for(folder, stage, config, True, echo=lambda _: None)
    tracker.resume(resume)
    for step in steps:
        tracker.log(record(step))
    tracker.close()


def pipeline(folder, config):
    train(folder, config, "teacher", 3, 6)
    summarise(folder, "pseudo", config, True, {"n": 30, "per_class": {"low": 12}})
    train(folder, config, "student", 3)
    train(folder, config, "student", 3, 6, resume=0)  # cut off before its first checkpoint


def steps_of(history):
    return [(h["_step"], h["training"], h["epoch"]) for h in history]


def test_offline_there_is_one(made):
    folder, config = made("track.wandb=offline", "track.one_run=true")
    pipeline(folder, config)
    (path,) = folder.glob("wandb/offline-run-*/*.wandb")
    found = logged(path)
    assert steps_of(found.history) == STEPS
    assert (found.run.job_type, found.run.run_group) == ("run", folder.name)
    # the best is the student's, though the teacher's was as good
    assert found.summary["best/epoch"] == 2
    assert found.summary["best/tune/auroc"] == record(6)["tune/auroc"]
    assert (found.summary["pseudo/n"], found.summary["pseudo/per_class/low"]) == (30, 12)
    said: list[str] = []
    sync(folder, None, "offline", said.append)
    assert said == [f"run: nothing new, {path.parent.relative_to(folder)} has it"]


def test_online_each_stage_goes_on_with_it(made, server):
    folder, config = made("track.wandb=online", "track.one_run=true")
    pipeline(folder, config)
    ((name, kept),) = server.runs.items()
    assert name.endswith("-run")
    assert steps_of(kept.history) == STEPS
    assert kept.summary["pseudo/n"] == 30
    said: list[str] = []
    sync(folder, None, "online", said.append)
    assert said == ["run: nothing new, W&B has all 4"]


def test_a_training_that_was_not_begun_is_left_out_and_a_torn_line_is_named(made):
    folder, _ = made("track.one_run=true")
    path = write(folder, "teacher", 3)
    path.write_text(path.read_text() + '{"step": 6, "ep')
    done = CliRunner().invoke(app, ["sync", str(folder)])
    assert done.exit_code == 0, done.output
    problem, said = done.output.splitlines()
    assert problem == "run: teacher/metrics.jsonl line 2 is passed over: torn, or no JSON"
    assert said.startswith("run: 1 records in wandb/offline-run-")
    refused = CliRunner().invoke(app, ["sync", str(folder), "--stage", "teacher"])
    assert refused.exit_code == 2
    assert "no stage 'teacher' has metrics; has: run" in refused.output


def test_without_metrics_there_is_none(made):
    folder, _ = made("track.one_run=true")
    done = CliRunner().invoke(app, ["sync", str(folder)])
    assert "no stage has metrics yet" in done.output
    assert not json.loads((folder / "run.json").read_text())
    assert not list(folder.glob("wandb/*"))
