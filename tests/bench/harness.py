"""What all benchmarks share: sides in turn, medians, one row of the table.

    python -m tests.bench            # all of them
    python -m tests.bench reading    # one

A side is a function that returns its own seconds. In each round every side runs once, in the other
order in the next round, so that a machine that slows down slows all of them. Seconds are this
process's CPU seconds, which a busy neighbour disturbs less than those of the clock on the wall,
where all sides run in one thread, on files in the page cache; else (`wall`) those of the clock.
Medians over rounds; a ratio is the median of the rounds' own ratios, with the lowest and highest.
"""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

LIBRARIES = (
    *("numpy", "opencv-python-headless", "torch", "torchvision", "webdataset", "pydicom"),
    *("imagecodecs", "scikit-learn", "numba"),
)
HEAD = "| what | ours | peer | ratio (lowest-highest round) |\n|---|---|---|---|"

Side = Callable[[], float]
now = time.process_time


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    ours: str
    peer: str
    ratio: str

    def __str__(self) -> str:
        return f"| {self.what} | {self.ours} | {self.peer} | {self.ratio} |"


@dataclass(frozen=True)
class Times:
    """Seconds of each side, one a round, in the order of the rounds."""

    of: dict[str, list[float]]

    def median(self, side: str) -> float:
        return statistics.median(self.of[side])

    def ratio(self, slow: str, fast: str) -> str:
        """How many times longer `slow` takes than `fast`."""
        each = [a / b for a, b in zip(self.of[slow], self.of[fast], strict=True)]
        return f"{number(statistics.median(each))} ({number(min(each))}-{number(max(each))})"


def clock(work: Callable[[], Any], per: int = 1) -> Side:
    """A side that runs `work` once and returns its CPU seconds divided by `per`."""

    def side() -> float:
        start = now()
        work()
        return (now() - start) / per

    return side


def wall(work: Callable[[], Any], per: int = 1) -> Side:
    """As `clock`, by the clock on the wall: for work in several threads or processes."""

    def side() -> float:
        start = time.perf_counter()
        work()
        return (time.perf_counter() - start) / per

    return side


def alternate(sides: dict[str, Side], rounds: int = 7) -> Times:
    """Run every side once unrecorded, then `rounds` times in alternating order."""
    for side in sides.values():
        side()
    of: dict[str, list[float]] = {name: [] for name in sides}
    for i in range(rounds):
        for name in list(sides) if i % 2 == 0 else list(sides)[::-1]:
            of[name].append(sides[name]())
    return Times(of)


def number(x: float) -> str:
    """Three significant digits, two below 10: more would be noise."""
    if x >= 100:
        return f"{x:,.0f}"
    return f"{x:.1f}" if x >= 2 else f"{x:.2f}"


def ms(seconds: float) -> str:
    """Seconds as milliseconds."""
    return f"{number(1000 * seconds)} ms"


def machine() -> str:
    """The CPU, the cores we may use, how busy they are, and the libraries' versions."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    models = [x.split(":", 1)[1].strip() for x in lines if x.startswith("model name")]
    cpu = models[0] if models else platform.processor() or platform.machine()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    return (
        f"{cpu}, {cores} cores (load {os.getloadavg()[0]:.1f} at the start), "
        f"Python {platform.python_version()}, {libraries}"
    )
