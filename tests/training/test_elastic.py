"""On a real cluster of two nodes: one dies, comes back, and is taken away; nothing else changes."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from tests.training.processes import WEIGHTS, checkpoints_of, command, epochs_of, wait_for
from training.folder import complete, prepare
from training.launch import launch
from training.served import assemble
from training.tracking.records import read

EPOCHS = 80


@pytest.mark.ray
@pytest.mark.timeout(600)
def test_a_run_shrinks_and_grows_with_its_cluster_and_serves_what_a_calm_one_does(
    nodes, tiny, tmp_path
):
    settings = (f"teacher.epochs={EPOCHS}", "track.samples=true")
    config = tiny(
        *(*settings, f"paths.runs={tmp_path / 'elastic'}", "compute.launcher=ray"),
        *("compute.workers=2", "compute.min_workers=1", "compute.resize_s=1"),
        *("compute.checkpoint_steps=4", "compute.collective_timeout_s=30"),
        "compute.strategy=zero1",
    )
    folder, log = prepare(config), tmp_path / "log"
    records = folder / "teacher" / "metrics.jsonl"

    def sizes() -> list[int]:
        """World sizes of the workers that have begun to train, one after the other."""
        served = sorted((folder / "teacher" / "served").glob("*-rank0of*.jsonl"))
        return [int(path.stem[-1]) for path in served]

    def kept() -> int:
        """Steps in the newest checkpoint."""
        return max([int(p.name.removeprefix("step-")) for p in checkpoints_of(folder)], default=0)

    with log.open("wb") as out:
        driver = subprocess.Popen(command(config), env=nodes.environment, stdout=out, stderr=out)
    try:
        with nodes.pausing(lambda: epochs_of(folder), seconds=0.25):
            wait_for(lambda: epochs_of(folder) >= 3 or driver.poll() is not None, 150)
            wait_for(lambda: kept() >= 8 or driver.poll() is not None, 150)
            assert sizes() == [2], log.read_text()
            stands = sum(r["step"] <= kept() for r in read(records).records)
            assert stands >= 2  # an epoch is 3 steps

            nodes.kill("second")
            wait_for(lambda: sizes() == [2, 1] or driver.poll() is not None, 150)
            shrunk_at = epochs_of(folder)
            with nodes.standing():
                nodes.add("second")
            wait_for(lambda: sizes() == [2, 1, 2] or driver.poll() is not None, 150)
            assert sizes() == [2, 1, 2], log.read_text()
            grown_at = epochs_of(folder)

            nodes.drain("second", seconds=60)
            assert driver.wait(300) == 0, log.read_text()
    finally:
        driver.kill()
        driver.wait()
        nodes.renew("second")  # drained, of no use to the next test
    assert sizes() == [2, 1, 2, 1], log.read_text()
    # What was trained since the last checkpoint is trained again; nothing else is.
    assert stands <= shrunk_at <= grown_at < EPOCHS
    assert complete(folder)
    assert "a node is about to go" in log.read_text()

    undisturbed = tiny(*settings, f"paths.runs={tmp_path / 'calm'}")
    calm = prepare(undisturbed)
    launch(undisturbed, calm)
    for stage in ("teacher", "student"):
        served = assemble(folder / stage)
        assert served == assemble(calm / stage)
        assert max(served)[0] + 1 == {"teacher": EPOCHS, "student": 2}[stage]
    assert distance(folder, calm) < 1e-5


def distance(a: Path, b: Path) -> float:
    """||x - y|| / ||y|| over all weights of a model, of two runs; the larger of both models."""
    far = 0.0
    for path in WEIGHTS:
        ours, theirs = load_file(a / path), load_file(b / path)
        assert ours.keys() == theirs.keys()
        y = np.concatenate([t.astype(float).ravel() for t in theirs.values()])
        x = np.concatenate([ours[name].astype(float).ravel() for name in theirs])
        far = max(far, float(np.linalg.norm(x - y) / np.linalg.norm(y)))
    return far


@pytest.mark.ray
def test_what_a_user_did_wrong_is_said_and_not_tried_again(nodes, tiny):
    config = tiny("compute.launcher=ray", "compute.workers=3")
    said = subprocess.run(command(config), env=nodes.environment, capture_output=True, text=True)
    assert said.returncode == 2
    assert "the cluster has place for 2 worker(s)" in said.stderr
    assert "the run needs 3" in said.stderr

    config = tiny("compute.launcher=ray", "compute.workers=1", "teacher.lr=1e30")
    said = subprocess.run(command(config), env=nodes.environment, capture_output=True, text=True)
    assert said.returncode == 2, said.stdout + said.stderr
    assert "error: the loss is not finite" in said.stderr
    # Each node sends the worker's line; it is one worker.
    assert len(set(re.findall(r"RayTrainWorker pid=(\d+)", said.stdout + said.stderr))) == 1
