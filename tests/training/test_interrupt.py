"""Asked to stop: a checkpoint, exit code 75, and the same command goes on to the same weights."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from data_sharding.schema import sha256_file
from tests.training.processes import (
    WEIGHTS,
    checkpoints_of,
    children,
    epochs_of,
    finish,
    start,
    torchrun,
    wait_for,
)
from training.interrupt import EXIT_CODE, Interrupted, listening
from training.launch import complete, launch, prepare


def test_signals_leave_a_checkpoint_and_the_same_command_goes_on(tiny, tmp_path, one_thread):
    config = tiny("teacher.epochs=50", "compute.checkpoint_s=600")
    folder = prepare(config)
    process = start(config)
    wait_for(lambda: epochs_of(folder) >= 2, 60)
    process.send_signal(signal.SIGTERM)
    said = finish(process)
    assert process.returncode == EXIT_CODE, said
    assert "the same command goes on" in said
    assert checkpoints_of(folder)
    assert not complete(folder)

    def ask(before: int = epochs_of(folder)) -> None:
        wait_for(lambda: epochs_of(folder) >= before + 2, 60)
        os.kill(os.getpid(), signal.SIGINT)

    asking = threading.Thread(target=ask)
    asking.start()
    with pytest.raises(Interrupted):
        launch(config, folder)
    asking.join()
    assert epochs_of(folder) < 50
    launch(config, folder)
    assert complete(folder)

    undisturbed = tiny("teacher.epochs=50", f"paths.runs={tmp_path / 'calm'}")
    calm = prepare(undisturbed)
    launch(undisturbed, calm)
    for path in WEIGHTS:
        assert sha256_file(folder / path) == sha256_file(calm / path)


@pytest.mark.parametrize("asked", ["one rank", "torchrun"])
def test_all_ranks_stop_together(tiny, asked):
    config = tiny("teacher.epochs=400", "compute.checkpoint_s=600")
    folder = prepare(config)
    process = start(config, *torchrun(2))
    wait_for(lambda: epochs_of(folder) >= 2, 60)
    ranks = children(process.pid)
    os.kill(ranks[1] if asked == "one rank" else process.pid, signal.SIGTERM)
    said = finish(process)
    assert process.returncode != 0
    assert said.count("the same command goes on") == 2, said
    assert asked == "torchrun" or f"exitcode  : {EXIT_CODE}" in said
    assert checkpoints_of(folder)


def test_a_second_ctrl_c_ends_at_once():
    with listening() as stop:
        assert not stop()
        os.kill(os.getpid(), signal.SIGINT)
        assert stop()
        os.kill(os.getpid(), signal.SIGINT)  # the same one, by way of torchrun
        stop.asked = time.monotonic() - 2
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_the_handlers_are_put_back():
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with listening():
        assert signal.getsignal(signal.SIGTERM) != before[0]
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def test_in_another_thread_nothing_is_heard():
    answers: list[bool] = []

    def ask() -> None:
        with listening() as stop:
            answers.append(stop())

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    assert answers == [False]
