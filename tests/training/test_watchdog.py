"""A worker that hangs says where, and ends; one that works, or slept as a whole, is left alone."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

from tests.training.processes import ENVIRONMENT, free_port, wait_for
from training import watchdog

TWO = """
import sys, time, torch
from pathlib import Path
from training import watchdog
from training.world import join_torchrun

world = join_torchrun(timeout_s=float(sys.argv[1]))
with watchdog.watching(float(sys.argv[2]), f"rank {world.rank} of {world.size}"):
    watchdog.feed("teacher")
    for step in range(10**6):
        world.agree(torch.tensor([step]))
        watchdog.feed()
        Path(sys.argv[3], f"{world.rank}").touch()
        time.sleep(0.02)
"""


def two(tmp_path, *arguments: str) -> list[subprocess.Popen]:
    """Two processes that agree on and on."""
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": "2"}
    ranks = [
        subprocess.Popen(
            [sys.executable, "-c", TWO, *arguments, str(tmp_path)],
            env=ENVIRONMENT | place | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
        )
        for rank in range(2)
    ]
    wait_for(lambda: (tmp_path / "0").exists() and (tmp_path / "1").exists(), 60)
    return ranks


def end(ranks: list[subprocess.Popen]) -> None:
    for rank in ranks:
        rank.kill()
        rank.communicate()


def test_a_rank_that_waits_for_a_frozen_one_says_where_and_ends(tmp_path):
    ranks = two(tmp_path, "600", "2")
    try:
        ranks[1].send_signal(signal.SIGSTOP)
        began = time.monotonic()
        said = ranks[0].communicate(timeout=30)[1].decode()
        assert ranks[0].returncode == watchdog.EXIT_CODE
        assert time.monotonic() - began < 10
        assert "rank 0 of 2 (teacher): no progress for 2 s" in said
        assert "in agree" in said
        assert "Thread" in said
        # The frozen one slept as a whole; that alone is no stall, but its partner is gone. It may
        # take the connection some seconds to notice, and those are a stall.
        woken = time.monotonic()
        ranks[1].send_signal(signal.SIGCONT)
        last = ranks[1].communicate(timeout=30)[1].decode()
        assert ("RuntimeError" in last) != ("no progress for 2 s" in last)
        assert "RuntimeError" in last or time.monotonic() - woken > 2
    finally:
        end(ranks)


def test_a_collective_does_not_wait_for_ever(tmp_path):
    ranks = two(tmp_path, "2", "600")
    try:
        ranks[1].send_signal(signal.SIGSTOP)
        said = ranks[0].communicate(timeout=30)[1].decode()
        assert ranks[0].returncode == 1
        assert "Timed out" in said or "timeout" in said.lower()
    finally:
        end(ranks)


def test_a_process_that_was_suspended_goes_on(tmp_path):
    code = """
import time
from training import watchdog
with watchdog.watching(1.0, "alone"):
    for _ in range(40):
        watchdog.feed()
        time.sleep(0.05)
        print(".", flush=True)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout
    process.stdout.readline()
    process.send_signal(signal.SIGSTOP)
    time.sleep(2)
    process.send_signal(signal.SIGCONT)
    said = process.communicate(timeout=20)[1]
    assert process.returncode == 0, said


def test_it_ends_with_its_block_and_beats_meanwhile():
    beats: list[float] = []
    with watchdog.watching(0.5, "here", lambda: beats.append(time.monotonic())):
        for _ in range(10):
            watchdog.feed()
            time.sleep(0.05)
    n = len(beats)
    assert 3 <= n <= 10
    time.sleep(0.7)  # longer than the stall: this process is still here
    assert len(beats) == n


@pytest.mark.parametrize("answer", [True, False])
def test_a_question_is_a_sign_of_progress(answer):
    with watchdog.watching(0.6, "here"):
        asked = watchdog.feeding(lambda: answer)
        for _ in range(10):
            time.sleep(0.1)
            assert asked() is answer
