"""SIGKILL at random steps, other strategies, other world sizes: what is learnt is the same."""

from __future__ import annotations

import math
import os
import random
import signal
import subprocess
import time

import pytest
from safetensors.torch import load_file

from data_sharding.schema import sha256_file
from tests.training.processes import ENVIRONMENT, checkpoints_of, command, epochs_of, wait_for
from tests.training.workers import at_work, finish
from training.interrupt import EXIT_CODE
from training.launch import complete, prepare

KILLS = 5
WEIGHTS = ("teacher/weights/model.safetensors", "student/weights/model.safetensors")


@pytest.fixture
def long(tiny, tmp_path):
    """A run of 12 + 12 epochs of three or four steps; takes a name and overrides."""

    def make(name, *changes):
        return tiny(
            *(
                "pseudo.enabled=false",
                "teacher.epochs=12",
                "student.epochs=12",
                "compute.checkpoint_steps=2",
            ),
            *(f"paths.runs={tmp_path / name}", *changes),
        )

    return make


@pytest.mark.parametrize(
    ("strategy", "size"), [("single", 1), ("ddp", 2), ("zero1", 2)], ids=["single", "ddp", "zero1"]
)
def test_killed_anywhere_again_and_again(long, tmp_path, strategy, size):
    log = tmp_path / "log"
    # 6 + 36 steps: of eight lives of up to five steps some are the student's, and none its last
    short = ("teacher.epochs=2", "student.epochs=9", f"compute.strategy={strategy}")
    calm = long("calm", *short)
    finish(calm, size, log)
    config = long("killed", *short)
    draw = random.Random(f"kill/{strategy}")
    kills = 0
    while kills < KILLS:
        with at_work(config, size, log) as workers:
            victim = draw.randrange(size)
            assert workers.until(draw.randint(1, 5), victim), f"ended after {kills} kills"
            time.sleep(draw.random() * 0.02)
            workers.signal(victim)
            kills += 1
    folder, undisturbed = prepare(config), prepare(calm)
    assert list((folder / "student" / "checkpoints").glob("step-*")), "never in the second stage"
    finish(config, size, log)
    assert complete(folder)
    for path in WEIGHTS:
        assert sha256_file(folder / path) == sha256_file(undisturbed / path), path


def test_worlds_and_strategies_change_in_the_middle(long, tmp_path):
    """2 -> 1 -> 2 workers, DDP -> single -> ZeRO-2: the same up to the order of sums."""
    log = tmp_path / "log"
    calm = long("calm")
    finish(calm, 1, log)
    folder = prepare(long("moved"))
    for strategy, size in (("ddp", 2), ("single", 1), ("zero2", 2), ("ddp", 2), ("zero1", 2)):
        config = long("moved", f"compute.strategy={strategy}")
        assert prepare(config) == folder, "where it runs is not what it is"
        with at_work(config, size, log) as workers:
            assert workers.until(7, 0), f"ended before {strategy}"
            workers.signal(0)
    finish(long("moved", "compute.strategy=ddp"), 2, log)
    for path in WEIGHTS:
        ours, theirs = load_file(folder / path), load_file(prepare(calm) / path)
        apart = {k: float((ours[k] - theirs[k]).norm()) for k in ours}
        size = {k: float(theirs[k].norm()) for k in ours}
        # Small tensors wander most: which one, and how far, depends on where the kills fell.
        assert math.hypot(*apart.values()) < 1e-5 * math.hypot(*size.values()), path
        assert max(apart[k] / size[k] for k in ours) < 1e-4, path


def test_when_checkpoints_are_written_changes_nothing(long, tmp_path):
    """A mean teacher of a network with batch norms, whose statistics differ from rank to rank."""
    found = []
    for name, steps in (("often", 1), ("seldom", 1000)):
        config = long(
            *(name, "model.name=test_byobnet", "student.teacher=ema", "teacher.epochs=1"),
            *("student.epochs=3", f"compute.checkpoint_steps={steps}"),
        )
        finish(config, 2, tmp_path / "log")
        found.append([sha256_file(prepare(config) / path) for path in WEIGHTS])
    assert found[0] == found[1]


def test_a_signal_to_the_whole_group_spares_the_loader_workers(long, tmp_path):
    """Terminals and Slurm signal every process of a job; a checkpoint still needs batches."""
    config = long("group", "compute.loader_workers=1", "teacher.epochs=5000")
    folder = prepare(config)
    process = subprocess.Popen(
        command(config),
        env=ENVIRONMENT,
        stdout=(tmp_path / "log").open("w"),
        start_new_session=True,
    )
    try:
        wait_for(lambda: epochs_of(folder) >= 2, 90)
        os.killpg(process.pid, signal.SIGTERM)
        assert process.wait(60) == EXIT_CODE
    finally:
        process.kill()
    assert checkpoints_of(folder)
