"""Folds as processes: begun by one command, stopped, killed, gone on with; side by side on Ray."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading

import pytest
from typer.testing import CliRunner

from tests.training.conftest import as_overrides
from tests.training.nodes import descendants
from tests.training.processes import (
    ENVIRONMENT,
    checkpoints_of,
    command,
    contents,
    ended,
    epochs_of,
    finish,
    wait_for,
)
from training.__main__ import app
from training.config import Config
from training.crossvalidate.plan import Plan, words
from training.crossvalidate.tail import Tail, last_lines
from training.folder import complete
from training.interrupt import EXIT_CODE
from training.overrides import override
from training.recipes import RECIPES, recipe

pytestmark = pytest.mark.usefixtures("one_thread")


def invoke(config: Config, folds: int, *more: str):
    kept = [w for w in as_overrides(config) if not w.startswith("data.fold")]
    return CliRunner().invoke(app, [config.recipe, *kept, f"--folds={folds}", *more])


@pytest.mark.parametrize("name", RECIPES)
def test_the_command_line_of_a_fold_makes_its_settings(name):
    config = override(recipe(name), ["data.folds=5", "data.fold=3", "track.project=2024"])
    if not config.alone:
        config = override(config, ["paths.public=null", "teacher.lr=1e-5", "student.teachers=[/a]"])
    said, *changes = words(config)
    assert override(recipe(said), changes) == config
    assert len(changes) < 12


def test_what_a_user_did_is_one_line(tiny, monkeypatch):
    config = tiny()
    said = invoke(config, 40)
    assert said.exit_code == 2
    assert re.fullmatch(r"error: 40 folds, but \d+ patient.*at most \d+\n", said.output)
    said = invoke(config, 2, "data.fold=1")
    assert (said.exit_code, said.output) == (
        *(2,),
        "error: data.fold=1: --folds 2 goes through all folds; leave it out\n",
    )
    assert not config.paths.runs.exists()
    monkeypatch.setenv("WORLD_SIZE", "1")
    monkeypatch.setenv("RANK", "0")
    said = invoke(config, 2)
    assert said.exit_code == 2
    assert "run it without torchrun" in said.output


def test_lines_are_said_once_they_are_whole(tmp_path):
    path = tmp_path / "log"
    tail = Tail.from_now(path)
    assert tail.lines() == []
    path.write_bytes(b"one\n10%\r20%\rtwo\nth")
    assert tail.lines() == ["one", "two"]
    with path.open("ab") as f:
        f.write(b"ree\n\n\xff\n")
    assert tail.lines() == ["three", "�"]
    assert Tail.from_now(path).lines() == []
    assert last_lines(path, 2) == ["three", "�"]
    assert last_lines(tmp_path / "none", 2) == []


def folds_at_work(config: Config, n: int, env=ENVIRONMENT) -> subprocess.Popen[bytes]:
    """The command, begun."""
    kept = [w for w in command(config) if not w.startswith("data.fold")]
    return subprocess.Popen(
        [*kept, f"--folds={n}"],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def finish_well(config: Config, n: int) -> None:
    """The command in processes of its own, all of one thread: others add their sums otherwise."""
    driver = folds_at_work(config, n)
    said = finish(driver, 300)
    assert driver.returncode == 0, said


@pytest.mark.timeout(600)  # nine processes, each of which imports torch
def test_stopped_and_killed_the_same_command_goes_on(tiny, tmp_path):
    often = ("compute.checkpoint_steps=2", f"paths.runs={tmp_path / 'runs'}")
    # a fold asks about once a second whether to stop, and must not be done before
    long = ("pseudo.enabled=false", "teacher.epochs=80", "student.epochs=1", "data.folds=2")
    config = tiny(*long, *often)
    plan = Plan.of(config)
    first, second = (fold.folder for fold in plan.folds)

    def ask() -> None:
        wait_for(lambda: epochs_of(first) >= 3, 120)
        os.kill(os.getpid(), signal.SIGTERM)

    asking = threading.Thread(target=ask)
    asking.start()
    said = invoke(config, 2)
    asking.join()
    assert said.exit_code == EXIT_CODE, said.output
    assert "fold 0: teacher: 80 epochs on" in said.output
    assert "the folds write a checkpoint" in said.output
    assert "fold 0, 1: stopped, what is done is kept; the same command goes on" in said.output
    assert checkpoints_of(first)
    assert not second.exists()

    reached = epochs_of(first)
    driver = folds_at_work(config, 2)
    wait_for(lambda: epochs_of(first) > reached, 120)
    os.kill(descendants(driver.pid)[0], signal.SIGKILL)
    wait_for(lambda: epochs_of(second) >= 3, 120)  # the other fold is done all the same
    fold = descendants(driver.pid)[0]
    driver.kill()
    said = finish(driver)
    assert "fold 1: teacher: 80 epochs on" in said
    wait_for(lambda: ended(fold), 60)  # it does not outlive its driver
    assert not complete(second)
    assert checkpoints_of(second)

    said = invoke(config, 2)
    assert said.exit_code == 0, said.output
    assert said.output.splitlines()[-1] == f"run: {plan.folder}"
    assert (tmp_path / "runs" / "latest").resolve() == plan.folder.resolve()

    calm = Plan.of(tiny(*long, f"paths.runs={tmp_path / 'calm'}"))
    finish_well(calm.config, 2)
    ours, theirs = contents(plan.folder), contents(calm.folder)
    assert ours == theirs

    said = invoke(config, 2)
    assert said.output == f"already complete, nothing to do: {plan.folder}\n"


@pytest.mark.ray
@pytest.mark.timeout(600)
def test_on_a_cluster_folds_run_side_by_side_and_say_the_same(nodes, tiny, tmp_path):
    """Two nodes of one CPU each: a fold on each, and no place for a fold of two workers."""
    small = ("pseudo.enabled=false", "student.epochs=1", "teacher.epochs=150", "data.folds=2")
    config = tiny(*small, f"paths.runs={tmp_path / 'ray'}", "compute.launcher=ray")
    plan = Plan.of(config)
    driver = folds_at_work(config, 2, env=nodes.environment)
    said = finish(driver)
    assert driver.returncode == 2, said
    assert (
        "error: a fold needs 2 CPUs of one node, and there are 1 CPU: set compute.workers" in said
    )
    assert not any(fold.folder.exists() for fold in plan.folds)

    config = override(config, ["compute.workers=1"])
    driver = folds_at_work(config, 2, env=nodes.environment)
    try:
        both = [fold.folder for fold in plan.folds]
        wait_for(
            lambda: all(0 < epochs_of(f) < 150 for f in both) or driver.poll() is not None, 120
        )
        assert driver.poll() is None, "one after the other"
    finally:
        said = finish(driver)
    assert driver.returncode == 0, said
    assert "fold 0: teacher: 150 epochs" in said
    assert "fold 1: teacher: 150 epochs" in said
    assert not (plan.folder / "ray").exists()

    calm = Plan.of(tiny(*small, f"paths.runs={tmp_path / 'calm'}"))
    finish_well(calm.config, 2)
    assert contents(plan.folder) == contents(calm.folder)
