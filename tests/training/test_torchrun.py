"""Under torchrun: one rank holds the folder and speaks, and a restart is no fresh start."""

from __future__ import annotations

import os
import signal
import subprocess
import threading

import pytest
import torch.distributed as dist

from tests.training import processes
from tests.training.processes import ENVIRONMENT, command, epochs_of, torchrun, wait_for
from training.folder import held, prepare
from training.interrupt import Interrupted
from training.launch import join, start


def said_by(*words: str) -> tuple[int, str]:
    """Exit code and both streams of a command."""
    done = subprocess.run(
        words, env=ENVIRONMENT, capture_output=True, text=True, timeout=100, check=False
    )
    return done.returncode, done.stdout + done.stderr


def test_where_another_command_is_at_work_one_rank_says_so(tiny):
    config = tiny()
    with held(config) as folder:
        (folder / "mark").touch()
        code, said = said_by(*command(config, *torchrun(2)), "--fresh")
        assert (folder / "mark").exists()
    assert code != 0
    assert said.count("error: ") == 1, said
    assert f"{folder}: another command is at work" in said


def test_of_a_finished_run_and_of_a_bad_setting_one_rank_speaks(tiny):
    config = tiny("teacher.epochs=1", "student.epochs=1", "pseudo.enabled=false")
    folder, _ = start(config)
    code, said = said_by(*command(config, *torchrun(2)))
    assert code == 0, said
    assert said.count(f"already complete, nothing to do: {folder}") == 1
    assert "run: " not in said
    code, said = said_by(*command(config, *torchrun(2)), "seed=-1")
    assert code != 0
    assert said.count("error: seed") == 1, said


@pytest.fixture
def alone(monkeypatch):
    """The environment of torchrun's only process."""
    port = str(processes.free_port())
    names = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_PORT": port}
    for name, value in (names | {"MASTER_ADDR": "127.0.0.1"}).items():
        monkeypatch.setenv(name, value)
    yield monkeypatch
    assert not dist.is_initialized(), "the group outlives the run"


@pytest.mark.parametrize(("restarts", "kept"), [("0", False), ("1", True)])
def test_fresh_is_of_the_first_start_only(tiny, alone, restarts, kept):
    config = tiny("teacher.epochs=1", "student.epochs=1", "pseudo.enabled=false")
    folder, _ = start(config)
    (folder / "mark").touch()
    alone.setenv("TORCHELASTIC_RESTART_COUNT", restarts)
    assert join(config, True) == (folder, kept)
    assert (folder / "mark").exists() == kept


def test_a_run_under_way_is_held(tiny, alone):
    config = tiny("teacher.epochs=4000")
    folder = prepare(config)
    refused = []

    def ask() -> None:
        try:
            wait_for(lambda: epochs_of(folder) >= 1, 60)
            for fresh in (False, True):
                with pytest.raises(ValueError, match="another command is at work"):
                    prepare(config, fresh)
                refused.append(fresh)
        finally:
            os.kill(os.getpid(), signal.SIGINT)

    asking = threading.Thread(target=ask)
    asking.start()
    with pytest.raises(Interrupted):
        join(config, False)
    asking.join()
    assert refused == [False, True]
    assert epochs_of(folder) >= 1
    assert prepare(config) == folder
