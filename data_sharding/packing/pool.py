"""Run jobs over processes, whatever the files do to them, with progress.

The files of a site are other people's: a decoder that takes its process down, or never returns,
must not take the pack with it. A job whose process dies is run again with ``careful=True``: then it
is to give each of its items to a `Shield`, a child process that may die and costs one item.

A `Crew` is who does the jobs: this process, processes of this machine, or Ray
(`data_sharding.packing.on_ray`).
"""

from __future__ import annotations

import dataclasses
import faulthandler
import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import (
    FIRST_COMPLETED,
    CancelledError,
    Future,
    ProcessPoolExecutor,
    wait,
)
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

import cv2
import numpy as np
from tqdm import tqdm

J = TypeVar("J")
R = TypeVar("R")
DEADLINE_S = 60.0  # no radiograph takes seconds to decode; a hanging decoder takes for ever
TRIES = 3


class Crew(Protocol):
    """Those who do jobs."""

    died: tuple[type[BaseException], ...]

    @property
    def size(self) -> int:
        """How many jobs they do at a time."""
        ...

    def submit(self, function: Callable[[J], R], job: J) -> Future[R]:
        """Begin a job."""
        ...

    def renew(self) -> None:
        """Replace those who died."""
        ...

    def close(self) -> None:
        """Send everybody home; what has not begun never will."""
        ...


class Here:
    """This process. A crash is a crash."""

    size = 1
    died: tuple[type[BaseException], ...] = ()

    def __init__(self) -> None:
        keep_memory()

    def submit(self, function: Callable[[J], R], job: J) -> Future[R]:
        """Do the job at once."""
        future: Future[R] = Future()
        try:
            future.set_result(function(job))
        except BaseException as e:
            future.set_exception(e)
        return future

    def renew(self) -> None:
        """Nobody died."""

    def close(self) -> None:
        """Nobody to send."""


class Processes:
    """Processes of this machine."""

    died: tuple[type[BaseException], ...] = (BrokenProcessPool,)

    def __init__(self, size: int) -> None:
        self.size = size
        self._pool = self._start()

    def _start(self) -> ProcessPoolExecutor:
        # Never fork: the caller may have threads (torch, arrow).
        methods = multiprocessing.get_all_start_methods()
        context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
        if "forkserver" in methods:
            context.set_forkserver_preload(["__main__", "data_sharding.packing.warm"])
        return ProcessPoolExecutor(self.size, mp_context=context, initializer=start_worker)

    def submit(self, function: Callable[[J], R], job: J) -> Future[R]:
        """Queue the job."""
        return self._pool.submit(function, job)

    def renew(self) -> None:
        """One death breaks the whole pool: start another."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._pool = self._start()

    def close(self) -> None:
        """Wait for what is being done."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def local(workers: int | None = None) -> Here | Processes:
    """So many processes of this machine, by default one for each core; 1 is this process."""
    return Here() if workers == 1 else Processes(workers or cores())


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def keep_memory() -> None:
    """Have freed memory used again: glibc gives large blocks back, and asks for them page by page.

    It does so for less the larger the block that was freed before; 32 MiB is as far as it goes. An
    eighth of the processor time of a worker that makes pictures went into that.
    """
    np.empty((32 << 20) - (64 << 10), np.uint8)


_watched = False


def start_worker() -> None:
    """Make this process a worker: one thread; `deadline` and its parent's death may end it."""
    global _watched
    _watched = True
    cv2.setNumThreads(1)
    keep_memory()
    if parent := multiprocessing.parent_process():
        threading.Thread(target=_follow, args=(parent,), daemon=True).start()


def _follow(parent: Any) -> None:
    """A parent that was killed leaves nobody at work behind its back."""
    parent.join()
    os._exit(1)


def as_done(
    crew: Crew, function: Callable[[J], R], jobs: Iterator[J], died: Callable[[J], str]
) -> Iterator[R]:
    """``map(function, jobs)`` in the order of completion, a few jobs ahead of the crew at a time.

    A job (a dataclass with a field `careful`) whose process died is done again, carefully.

    Raises:
        RuntimeError: it died `TRIES` times even so; `died(job)` names it.
    """
    waiting: dict[Future[R], tuple[J, int, int]] = {}  # job, how often it died, generation of crew
    generation = 0

    def submit(job: J, deaths: int) -> None:
        nonlocal generation
        try:
            future = crew.submit(function, job)
        except crew.died:  # somebody died since the last look
            crew.renew()
            generation += 1
            future = crew.submit(function, job)
        waiting[future] = job, deaths, generation

    try:
        while True:
            # Nothing new beside jobs that are done again: who dies then is who is to blame.
            alone = any(deaths for _, deaths, _ in waiting.values())
            while not alone and len(waiting) < 2 * crew.size and (job := next(jobs, None)):
                submit(job, 0)
            if not waiting:
                return
            again: list[tuple[J, int]] = []
            broken = False
            for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                job, deaths, then = waiting.pop(future)
                try:
                    result = future.result()
                except (*crew.died, CancelledError) as e:
                    if deaths == TRIES:
                        raise RuntimeError(f"{died(job)}: its process died {TRIES} times") from e
                    careful: Any = dataclasses.replace(job, careful=True)  # pyright: ignore
                    again.append((careful, deaths + 1))
                    broken |= then == generation
                    continue
                yield result
            if broken:
                crew.renew()
                generation += 1
            for job, deaths in again:
                submit(job, deaths)
    finally:
        for future in waiting:
            future.cancel()


class Shield:
    """Calls `function` in a child process; if that dies or hangs, the answer is `crashed`.

    with Shield(decode, crashed, deadline_s=60) as decode_safely:
        answer = decode_safely(item)
    """

    def __init__(
        self, function: Callable[[Any], R], crashed: R, deadline_s: float = DEADLINE_S
    ) -> None:
        self._function, self._crashed, self._deadline = function, crashed, deadline_s
        self._child: Any = None
        self._pipe: Any = None

    def __enter__(self) -> Shield:
        return self

    def __exit__(self, *error: object) -> None:
        self._kill()

    def __call__(self, item: Any) -> Any:
        """The answer of `function`, or `crashed`."""
        if self._child is None:
            context = multiprocessing.get_context("spawn")
            self._pipe, theirs = context.Pipe()
            self._child = context.Process(target=_serve, args=(theirs, self._function), daemon=True)
            self._child.start()
            theirs.close()
        try:
            self._pipe.send(item)
            if self._pipe.poll(self._deadline):
                return self._pipe.recv()
        except (EOFError, OSError):  # the child died
            pass
        self._kill()
        return self._crashed

    def _kill(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child.join()
            self._pipe.close()
            self._child = self._pipe = None


def _serve(pipe: Any, function: Callable[[Any], Any]) -> None:
    start_worker()
    while True:
        try:
            item = pipe.recv()
        except EOFError:
            return
        pipe.send(function(item))


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """End this worker process if the block takes longer: Python cannot stop a decoder in C."""
    if not _watched:
        yield
        return
    with Path(os.devnull).open("w") as nowhere:
        faulthandler.dump_traceback_later(seconds, exit=True, file=nowhere)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()


def progress(label: str, total: int, echo: Callable[[str], Any]) -> Callable[..., None]:
    """Call the result with the number of things done: a bar on a terminal, else a line at times."""
    if sys.stderr.isatty():
        bar = tqdm(total=total, desc=label, unit="", leave=False)

        def step(n: int = 1) -> None:
            bar.update(n)
            if bar.n >= total:
                bar.close()

        return step
    done, start = 0, time.monotonic()
    last = start

    def line(n: int = 1) -> None:
        nonlocal done, last
        done += n
        now = time.monotonic()
        if now - last > 5:
            last = now
            left = (now - start) / done * (total - done)
            echo(f"{label}: {done} of {total}, {_clock(left)} left")

    return line


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes > 59 else f"{minutes}:{rest:02d}"
