"""`track sync`, and W&B that is away: what people are told, and that training goes on."""

from __future__ import annotations

import json
import sys

import pytest
from typer.testing import CliRunner

from data_sharding.private import only_one
from tests.training.tracking.conftest import record, write
from tests.training.tracking.logs import logged
from training.tracking import tracker_for, wandb_run
from training.tracking.verbs import app


def run(*words: object):
    return CliRunner().invoke(app, ["sync", *map(str, words)])


def test_every_stage_becomes_one_run_and_again_adds_nothing(made):
    folder, _ = made()
    write(folder, "teacher", 3, 6)
    write(folder, "student", 3)
    done = run(folder)
    assert done.exit_code == 0, done.output
    assert done.output.startswith("student: 1 records in wandb/offline-run-")
    before = sorted(folder.glob("wandb/offline-run-*/*.wandb"))
    assert {logged(p).run.job_type for p in before} == {"teacher", "student"}
    again = run(folder)
    assert again.output.count("nothing new") == 2
    assert sorted(folder.glob("wandb/offline-run-*/*.wandb")) == before
    # What came since makes the run of that stage anew.
    write(folder, "teacher", 3, 6, 9)
    assert "nothing new" in run(folder, "--stage", "student").output
    assert "3 records" in run(folder, "--stage", "teacher").output
    assert len(list(folder.glob("wandb/offline-run-*"))) == 2


def test_a_replay_that_was_killed_is_made_again(made):
    folder, _ = made()
    write(folder, "teacher", 3, 6)
    run(folder)
    known = json.loads((folder / "tracking.json").read_text())
    del known["offline"]  # it is written when the run is whole
    (folder / "tracking.json").write_text(json.dumps(known))
    (torn,) = folder.glob("wandb/offline-run-*/*.wandb")
    torn.write_bytes(torn.read_bytes()[:100])
    assert "2 records" in run(folder).output
    (path,) = folder.glob("wandb/offline-run-*/*.wandb")
    assert len(logged(path).history) == 2


def test_a_file_with_bad_lines_is_sent_without_them(made, server):
    folder, _ = made()
    path = write(folder, "teacher", 3, 6)
    path.write_text(path.read_text() + '{"step": 9, "a": NaN, "b": 1}\n{"step": 6}\n{"st')
    done = run(folder, "--online")
    assert done.exit_code == 0, done.output
    assert done.output.splitlines() == [
        "teacher: metrics.jsonl line 3: what is not finite in it is left out",
        "teacher: metrics.jsonl line 4 is passed over: step 6 after step 9",
        "teacher: metrics.jsonl line 5 is passed over: torn, or no JSON",
        "teacher: 3 records sent, W&B had 0",
    ]
    (kept,) = server.runs.values()
    assert [h["_step"] for h in kept.history] == [3, 6, 9]
    assert "a" not in kept.history[-1]


def test_users_errors_are_a_line(made, tmp_path, monkeypatch):
    folder, _ = made()
    assert "no stage has metrics yet" in run(folder).output
    write(folder, "teacher", 3)
    for words, line in [
        ((tmp_path / "nowhere",), "not a run's folder"),
        ((tmp_path,), "not a run's folder"),
        ((folder, "--stage", "tutor"), "no stage 'tutor' has metrics; has: teacher"),
        ((folder, "--online"), "No API key"),
    ]:
        done = run(*words)
        assert done.exit_code == 2, done.output
        assert done.output.startswith("error: ")
        assert line in done.output
        assert len(done.output.splitlines()) == 1
    with only_one(folder):
        assert "another command is at work" in run(folder).output
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert "forbids it" in run(folder, "--online").output
    (folder / "config.yaml").write_text("recipe: [")
    assert "not a run's config.yaml" in run(folder).output


def train(folder, config) -> list[str]:
    said: list[str] = []
    tracker = tracker_for(folder, "teacher", config, True, echo=said.append)
    tracker.resume(0)
    for step in (3, 6):
        tracker.progress(1, step, 6, 1.0, 0.0)
        tracker.log(record(step))
    tracker.close()
    written = (folder / "teacher" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(x) for x in written] == [record(3), record(6)]
    return [line for line in said if line.startswith("warning")]


@pytest.mark.parametrize("trouble", ["no key", "refused", "not installed", "nowhere to write"])
def test_training_goes_on_without_wandb_and_says_so_once(made, monkeypatch, trouble):
    mode = "offline" if trouble in ("nowhere to write", "not installed") else "online"
    folder, config = made(f"track.wandb={mode}")
    if trouble == "refused":
        monkeypatch.setattr(wandb_run, "START_S", 1.0)
        monkeypatch.setenv("WANDB_API_KEY", "0123456789" * 4)
        monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    if trouble == "not installed":
        monkeypatch.setitem(sys.modules, "wandb", None)
    if trouble == "nowhere to write":
        (folder / "wandb").write_text("a file")
    (line,) = train(folder, config)
    assert line.startswith("warning: W&B: ")
    option = " --online" if mode == "online" else ""
    assert line.endswith(f"python -m training track sync {folder}{option}")


def test_disabled_writes_the_file_alone(made, monkeypatch):
    folder, config = made("track.wandb=disabled")
    assert train(folder, config) == []
    assert not (folder / "wandb").exists()


def test_other_ranks_say_and_write_nothing(made):
    folder, config = made()
    tracker = tracker_for(folder, "teacher", config, False)
    tracker.resume(0)
    tracker.progress(1, 1, 2, 3, 0)
    tracker.log(record(3))
    tracker.summary({"a": 1})
    tracker.close()
    assert sorted(p.name for p in folder.iterdir()) == ["config.yaml", "run.json"]
