"""Runs of this machine are found by their command lines and asked to end: with real processes."""

from __future__ import annotations

import subprocess
import sys
import time

import psutil
import pytest
from typer.testing import CliRunner

from cluster import __main__ as main
from cluster import stop

#: A `training` that forks a loader, says so, and answers SIGTERM like ours.
TRAINING = """
import os, signal, sys, time
child = os.fork()
def asked(*_):
    if "deaf" not in sys.argv:
        open("checkpoint", "w").close()
        os._exit(75)
signal.signal(signal.SIGTERM, asked)
if child:
    print("ready", flush=True)
while True:
    time.sleep(.05)
    if os.getppid() == 1:
        os._exit(0)
"""


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("python -m training ospenscreen", True),
        ("python3.11 -u -m training", True),
        ("torchrun --nproc-per-node 4 -m training x", True),
        ("python -m cluster submit -- training", False),
        ("python -m cluster doctor -- x", False),
        ("python -m pytest tests/training", False),
        ("vi training", False),
        ("", False),
    ],
)
def test_what_a_run_is(line, found):
    assert stop.is_run(line.split()) == found


@pytest.fixture
def run(tmp_path):
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "__init__.py").touch()
    (tmp_path / "training" / "__main__.py").write_text(TRAINING)
    started = []

    def start(*words):
        line = [sys.executable, "-m", "training", *words]
        process = subprocess.Popen(line, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        started.append(process)
        return process

    yield start
    for process in started:
        for child in psutil.Process(process.pid).children() if process.poll() is None else []:
            child.kill()
        process.kill()
        process.wait()


def test_a_run_is_asked_and_waited_for(run, tmp_path):
    process = run("x")
    found = [p for p in stop.runs() if p.pid == process.pid]
    assert len(found) == 1, "the loader, its copy, is not a run of its own"
    loaders = found[0].children()
    assert loaders
    assert not {p.pid for p in loaders} & {p.pid for p in stop.runs()}
    said = []
    assert stop.stop(found, 20, said.append) == []
    assert (tmp_path / "checkpoint").exists()
    assert not psutil.pid_exists(process.pid)
    assert said == [f"asking {process.pid} to write a checkpoint and end"]
    assert stop.stop(found, 1, said.append) == [], "one that is gone already is no error"


def test_one_that_does_not_end_is_named(run, monkeypatch):
    process = run("deaf")
    found = psutil.Process(process.pid)
    before = time.monotonic()
    assert stop.stop([found], 0.5, print) == [found]
    assert time.monotonic() - before < 5
    monkeypatch.setattr(stop, "runs", lambda: [found])
    done = CliRunner().invoke(main.app, ["stop", "--timeout", "0.2"])
    assert done.exit_code == 1
    assert f"{process.pid} is still there after 0.2 s" in done.output
    monkeypatch.setattr(stop, "runs", list)
    assert CliRunner().invoke(main.app, ["stop"]).exit_code == 0
