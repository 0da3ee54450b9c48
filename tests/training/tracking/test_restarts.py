"""Five restarts by SIGKILL, with the real W&B client: one run, rising steps, every record once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.training.tracking.conftest import record
from tests.training.tracking.logs import logged
from training.tracking import tracker_for
from training.tracking.sync import sync

ROOT = Path(__file__).resolve().parents[3]
#: (checkpoint that is resumed from, last step that is logged): each is killed behind a checkpoint.
ATTEMPTS = [(0, 6), (3, 12), (6, 9), (9, 18), (12, 15)]
STEPS = [3, 6, 9, 12, 15, 18, 21, 24]


class Training:
    """The process of `restarts`."""

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.training.tracking.restarts", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )

    def begin(self, resume: int, until: int, end: str) -> int:
        assert self.process.stdin
        self.process.stdin.write(f"{resume} {until} {end}\n")
        self.process.stdin.flush()
        child = int(self.hears())
        assert self.hears() == {"hang": "logged", "leave": "left", "close": "closed"}[end]
        return child

    def hears(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def kill(self, child: int) -> None:
        os.kill(child, signal.SIGKILL)
        assert self.hears() == "dead"

    def __enter__(self) -> Training:
        return self

    def __exit__(self, *error: object) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait(timeout=30)


def offline_runs(folder: Path) -> list[Path]:
    return sorted(folder.glob("wandb/offline-run-*/run-*.wandb"))


def without_clocks(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    renamed = [{"step": h["_step"], **h} for h in history]
    return [{k: v for k, v in h.items() if not k.startswith("_")} for h in renamed]


def test_offline_five_restarts_leave_one_run(made):
    folder, _ = made("track.wandb=offline")
    with Training(folder) as training:
        for resume, until in ATTEMPTS:
            training.kill(training.begin(resume, until, "hang"))
            assert not offline_runs(folder)
        training.begin(12, 24, "close")
        assert training.hears() == "dead"
    (path,) = offline_runs(folder)
    found = logged(path)
    assert without_clocks(found.history) == [record(s) for s in STEPS]
    assert found.ended
    assert found.summary["best/epoch"] == 8
    assert (found.run.job_type, found.run.run_group) == ("teacher", folder.name)
    sync(folder, None, "offline", lambda _: None)
    assert offline_runs(folder) == [path]


def test_offline_a_run_that_never_ended_is_made_by_sync(made):
    folder, config = made("track.wandb=offline")
    with Training(folder) as training:
        training.kill(training.begin(0, 12, "hang"))
    said: list[str] = []
    sync(folder, None, "offline", said.append)
    assert said[0] == "teacher: metrics.jsonl line 5 is passed over: torn, or no JSON"
    assert said[1].startswith("teacher: 4 records in wandb/offline-run-")
    (early,) = offline_runs(folder)
    assert without_clocks(logged(early).history) == [record(s) for s in STEPS[:4]]
    # It goes on in this process, and its end takes the place of what sync had made.
    tracker = tracker_for(folder, "teacher", config, True, echo=lambda _: None)
    tracker.resume(9)
    for step in STEPS[3:]:
        tracker.log(record(step))
    tracker.close()
    (path,) = offline_runs(folder)
    found = logged(path)
    assert found.run.run_id == logged(path).run.run_id == early.stem.removeprefix("run-")
    assert without_clocks(found.history) == [record(s) for s in STEPS]


def test_online_five_restarts_feed_one_run(made, server):
    folder, _ = made("track.wandb=online")
    had = []  # how far the server was when an attempt began
    with Training(folder) as training:
        for n, (resume, until) in enumerate(ATTEMPTS):
            if n % 2:  # asked to stop: what was logged is sent when the process ends
                training.begin(resume, until, "leave")
                assert training.hears() == "dead"
            else:
                child = training.begin(resume, until, "hang")
                time.sleep(0.3 * n)  # as it is begun, or when it has begun
                training.kill(child)
            had.append(max([h["_step"] for k in server.runs.values() for h in k.history] or [0]))
        training.begin(12, 24, "close")
        assert training.hears() == "dead"
    assert had[3] > 12, "the server is ahead of the checkpoint that the last attempt goes on from"
    ((name, kept),) = server.runs.items()
    assert without_clocks(kept.history) == [record(s) for s in STEPS]
    assert kept.summary["best/epoch"] == 8
    assert name.startswith(f"{folder.name}-")
    assert name.endswith("-teacher")
    # What sync sends after that is nothing, and no copies stay here.
    said: list[str] = []
    sync(folder, None, "online", said.append)
    assert said == ["teacher: nothing new, W&B has all 8"]
    assert len(kept.history) == len(STEPS)
    assert not list(folder.glob("wandb/run-*"))


def test_online_the_server_may_be_ahead_of_the_checkpoint(made, server):
    """It had steps that are trained again: they are not sent twice."""
    folder, config = made("track.wandb=online")
    for resume, until in [(0, 12), (6, 18)]:
        tracker = tracker_for(folder, "teacher", config, True, echo=lambda _: None)
        tracker.resume(resume)
        for step in range(resume + 3, until + 1, 3):
            tracker.log(record(step))
        tracker.close()
        (kept,) = server.runs.values()
        assert kept.history[-1]["_step"] == until
    assert without_clocks(kept.history) == [record(s) for s in STEPS[:6]]


@pytest.mark.parametrize("mode", ["offline", "online"])
def test_nothing_of_the_machine_or_its_user_is_told(made, server, mode, tmp_path):
    weights = tmp_path / "alice" / "convnext.safetensors"
    folder, config = made(f"track.wandb={mode}", f"model.pretrained={weights}")
    tracker = tracker_for(folder, "eval", config, True, echo=lambda _: None)
    tracker.resume(0)
    patient = "0123456789abcdef0123"
    tracker.summary({"auroc": {"north-external": 0.8}, "who": "Alice", patient: 1, "n": [1, 2]})
    tracker.close()
    if mode == "online":
        (kept,) = server.runs.values()
        told, summary = "\n".join(server.said).encode(), kept.summary
    else:
        (path,) = offline_runs(folder)
        files = [p for p in (folder / "wandb").rglob("*") if p.is_file()]
        told, summary = b"".join(p.read_bytes() for p in files), logged(path).summary
    assert {k: v for k, v in summary.items() if not k.startswith("_")} == {
        "auroc/north-external": 0.8
    }
    names = (os.uname().nodename, Path.home(), ROOT, tmp_path, "alice", "Alice", patient)
    for name in (str(n) for n in names if len(str(n)) > 3):
        assert name.encode() not in told, name
