"""Map a function over processes, in order, with progress; one crash costs one job.

The files of a site are other people's: a decoder that takes its process down with it must not take
the pack down too.
"""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

import cv2
from tqdm import tqdm

A = TypeVar("A")
R = TypeVar("R")


def _start_worker() -> None:
    cv2.setNumThreads(1)


def in_order(
    function: Callable[[A], R],
    jobs: Sequence[A],
    workers: int,
    crashed: Callable[[A], R],
    label: str,
    echo: Callable[[str], Any],
) -> Generator[R, None, None]:
    """``map(function, jobs)`` over processes, in order, with progress on the terminal.

    A job whose process dies twice gives `crashed(job)`. A handful of jobs is done in this process.
    """
    shown = progress(label, len(jobs), echo)
    if workers <= 1 or len(jobs) < 32:
        for job in jobs:
            result = function(job)
            shown()
            yield result
        return
    waiting: deque[tuple[A, Future[R]]] = deque()
    todo = iter(jobs)
    pool = _pool(workers)
    try:
        while True:
            while len(waiting) < 8 * workers and (job := next(todo, None)) is not None:
                waiting.append((job, pool.submit(function, job)))
            if not waiting:
                return
            job, future = waiting.popleft()
            try:
                result = future.result()
            except BrokenProcessPool:
                pool.shutdown(wait=False, cancel_futures=True)
                result = _alone(function, job, crashed)
                pool = _pool(workers)
                again = [j for j, _ in waiting]
                waiting = deque((j, pool.submit(function, j)) for j in again)
            shown()
            yield result
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _pool(workers: int) -> ProcessPoolExecutor:
    # Never fork: the caller may have threads (torch, arrow).
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    if "forkserver" in methods:
        context.set_forkserver_preload(["data_sharding.work"])
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker)


def _alone(function: Callable[[A], R], job: A, crashed: Callable[[A], R]) -> R:
    """Run one job in a process of its own: it may be the one that broke the others."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            return pool.submit(function, job).result()
        except BrokenProcessPool:
            return crashed(job)


def progress(label: str, total: int, echo: Callable[[str], Any]) -> Callable[[], None]:
    """Call the result once for each finished job: a bar on a terminal, else a line at times."""
    if sys.stderr.isatty():
        bar = tqdm(total=total, desc=label, unit="", leave=False)

        def step() -> None:
            bar.update()
            if bar.n >= total:
                bar.close()

        return step
    done, last = 0, time.monotonic()

    def line() -> None:
        nonlocal done, last
        done += 1
        if time.monotonic() - last > 5:
            last = time.monotonic()
            echo(f"{label}: {done} of {total}")

    return line
