"""What is said while a stage runs: seldom, and true."""

from __future__ import annotations

import io
import sys

import pytest

from training.tracking import progress
from training.tracking.progress import Progress, clock


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that the test turns: the first element is the time."""
    time = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: time[0])
    return time


def drive(told: Progress, now: list[float], epochs: int, steps: int, step_s: float) -> None:
    for epoch in range(1, epochs + 1):
        for step in range(1, steps + 1):
            now[0] += step_s
            told(epoch, step, steps, 32.0 * step, 0.1 * step_s * step)


def test_a_line_every_ten_seconds_with_the_rate_the_wait_and_what_is_left(now):
    said: list[str] = []
    drive(Progress("teacher", 3, said.append), now, 3, 100, 0.5)
    # 150 s of training
    assert 13 <= len(said) <= 15
    assert said[0] == (
        "teacher: epoch 1 of 3, step 21 of 100, 64 samples/s, wait 10%, 2:20 left"
    )  # 279 steps of half a second
    assert said[-1].startswith("teacher: epoch 3 of 3, step ")


def test_short_epochs_do_not_silence_it(now):
    said: list[str] = []
    drive(Progress("teacher", 40, said.append), now, 40, 4, 0.5)
    assert 6 <= len(said) <= 8  # 80 s


def test_a_run_resumed_within_an_epoch_counts_what_it_does_itself(now):
    said: list[str] = []
    told = Progress("teacher", None, said.append)
    for step in range(51, 101):  # 50 steps, 1600 samples, 7 s of waiting were there before
        now[0] += 0.5
        told(1, step, 100, 32.0 * step, 7 + 0.25 * (step - 50))
    assert said[0] == "teacher: epoch 1, step 71 of 100, 64 samples/s, wait 50%, 0:14 left"


def test_a_bar_on_a_terminal_and_no_lines(now, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    said: list[str] = []
    told = Progress("teacher", 2, said.append)
    drive(told, now, 2, 100, 0.5)
    told.close()
    assert said == []
    assert "teacher 1/2" in terminal.getvalue()
    assert "teacher 2/2" in terminal.getvalue()
    assert "64 samples/s, wait 10%" in terminal.getvalue()


def test_it_costs_a_look_at_the_clock():
    import timeit

    told = Progress("teacher", 3, lambda _: None)
    told(1, 1, 10**9, 1.0, 0.0)
    assert min(timeit.repeat(lambda: told(1, 2, 10**9, 2.0, 0.0), number=1000)) < 0.02


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (250.4, "4:10"), (3840, "1 h 04 min")])
def test_clocks(seconds, text):
    assert clock(seconds) == text
