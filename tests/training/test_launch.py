"""On a real Ray cluster: a job is submitted, stopped in the middle, submitted again, finishes."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from data_sharding.schema import sha256_file
from tests.training.conftest import as_overrides
from training.launch import complete, prepare

BIN = Path(sys.executable).parent


def free_port() -> int:
    """One outside of Ray's worker ports (10002 to 19999)."""
    for _ in range(100):
        port = random.randrange(20000, 30000)
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)):
                return port
    raise RuntimeError("no free port")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """``ray start --head`` with two CPUs; the environment in which its commands are given."""
    port, dashboard = free_port(), free_port()
    environment = os.environ | {
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": "0" * 64,
        "RAY_ADDRESS": f"http://127.0.0.1:{dashboard}",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_JOB_STOP_WAIT_TIME_S": "1",
    }
    start = ["ray", "start", "--head", "--block", "--num-cpus=2", f"--port={port}"]
    start += [f"--dashboard-port={dashboard}", "--temp-dir", f"/tmp/osteoray-{os.getpid()}"]
    log = (tmp_path_factory.mktemp("ray") / "head.log").open("w")
    own = {k: v for k, v in environment.items() if k != "RAY_ADDRESS"}
    head = subprocess.Popen(start, env=own, stdout=log, stderr=log, start_new_session=True)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        asked = subprocess.run(["ray", "job", "list"], env=environment, capture_output=True)
        if asked.returncode == 0:
            break
        assert head.poll() is None, Path(log.name).read_text()
    else:
        raise TimeoutError(Path(log.name).read_text())
    yield environment
    # `ray stop` would end every Ray of the machine; this one's processes are a group of their own.
    head.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        head.wait(5)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(head.pid, signal.SIGKILL)


@pytest.mark.ray
@pytest.mark.timeout(400)
def test_a_job_stopped_and_submitted_again_ends_as_one_that_was_not(cluster, tiny, tmp_path):
    on_ray = ("compute.launcher=ray", "compute.workers=2")
    config = tiny("teacher.epochs=40", f"paths.runs={tmp_path / 'ray'}", *on_ray)
    folder = prepare(config)
    command = ["ray", "job", "submit", "--working-dir", str(Path(__file__).parents[2])]
    entry = ["--", "python", "-m", "training", "ospenscreen:smoke", *as_overrides(config)]

    first = subprocess.Popen(
        [*command, "--no-wait", "--submission-id", "first", *entry],
        env=cluster,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    said = first.communicate(timeout=60)[0]
    assert first.returncode == 0, said
    deadline = time.monotonic() + 120
    while not any((folder / "teacher" / "checkpoints").glob("step-*")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    stop = ["ray", "job", "stop", "first"]
    subprocess.run(stop, env=cluster, check=True, capture_output=True, timeout=60)
    stopped_at = len((folder / "teacher" / "metrics.jsonl").read_text().splitlines())

    again = subprocess.run(
        [*command, *entry], env=cluster, capture_output=True, timeout=200, check=False
    )
    assert again.returncode == 0, (again.stdout[-3000:] + again.stderr[-3000:]).decode()
    assert complete(folder)
    assert b"\r" not in again.stdout  # bytes: as text, carriage returns would be made newlines
    assert b"student: epoch 2" in again.stdout
    records = [json.loads(x) for x in (folder / "teacher/metrics.jsonl").read_text().splitlines()]
    assert [r["epoch"] for r in records] == list(range(1, config.teacher.epochs + 1))
    assert stopped_at < config.teacher.epochs

    undisturbed = tiny("teacher.epochs=40", f"paths.runs={tmp_path / 'torchrun'}")
    calm = prepare(undisturbed)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone"]
    subprocess.run(
        [*torchrun, "-m", "training", "ospenscreen:smoke", *as_overrides(undisturbed)],
        check=True,
        capture_output=True,
        timeout=200,
    )
    for path in ("teacher/weights/model.safetensors", "student/weights/model.safetensors"):
        assert sha256_file(folder / path) == sha256_file(calm / path)
