"""Run numbered jobs in processes that are watched: who crashes, hangs, fails or eats memory.

found = watch(worker, 5000, workers=2)   # worker(number) raises, dies, hangs, or is fine
found.problems                           # {} or what happened to which number
"""

from __future__ import annotations

import ctypes
import multiprocessing
import resource
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

HANG = 5.0  # seconds
MEMORY = 1 << 30  # bytes more than the process had before its first job


@dataclass
class Found:
    """What came of it. `seconds` of each number; `peak`: most bytes resident in any process."""

    problems: dict[int, str] = field(default_factory=dict)
    seconds: dict[int, float] = field(default_factory=dict)
    peak: int = 0

    @property
    def slowest(self) -> tuple[int, float]:
        """The number that took longest, and its seconds."""
        return max(self.seconds.items(), key=lambda x: x[1])


class _Watched:
    """One process and the numbers it is to do."""

    def __init__(self, make: Callable[[Any], Any], given: Any, todo: range) -> None:
        self.make, self.given, self.todo = make, given, todo
        self.doing, self.since = -1, time.monotonic()
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.reports, theirs = context.Pipe(duplex=False)
        args = (self.make, self.given, self.todo, theirs)
        self.process = context.Process(target=_work, args=args, daemon=True)
        self.process.start()
        theirs.close()
        self.doing, self.since = -1, time.monotonic()

    def poll(self, found: Found) -> bool:
        """Take its reports; whether there is more to come."""
        try:
            while self.reports.poll(0.02):
                kind, number, value = self.reports.recv()
                if kind == "begin":
                    self.doing, self.since = number, time.monotonic()
                elif kind == "problem":
                    found.problems[number] = value
                elif kind == "peak":
                    found.peak = max(found.peak, value)
                elif kind == "end":
                    found.seconds[number], self.doing = value, -1
                else:
                    self.process.join()
                    return False
        except EOFError:
            self.process.join()
            assert self.doing >= 0, f"a process died before it began (exit {self.process.exitcode})"
            found.problems[self.doing] = f"the process died, exit code {self.process.exitcode}"
            return self._go_on(found)
        if self.doing >= 0 and time.monotonic() - self.since > 2 * HANG:
            self.process.kill()
            self.process.join()
            found.problems[self.doing] = f"hangs: more than {2 * HANG:.0f} s"
            return self._go_on(found)
        return True

    def _go_on(self, found: Found) -> bool:
        found.seconds[self.doing] = time.monotonic() - self.since
        self.todo = range(self.doing + self.todo.step, self.todo.stop, self.todo.step)
        if len(self.todo):
            self._start()
        return len(self.todo) > 0


def watch(make: Callable[[Any], Any], given: Any, count: int, workers: int = 2) -> Found:
    """Call ``make(given)(number)`` for each number below `count`, in `workers` processes.

    A number is a problem if the call raises, even where nobody catches it, its process dies, it
    takes more than `HANG` seconds of CPU, or its process is then larger by more than `MEMORY`.
    """
    found = Found()
    running = [_Watched(make, given, range(w, count, workers)) for w in range(min(workers, count))]
    while running:
        running = [one for one in running if one.poll(found)]
    return found


def _resident() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _work(make: Callable[[Any], Any], given: Any, todo: range, reports: Connection) -> None:
    job = make(given)
    if sys.platform == "linux":  # what asks for more is refused by the system, and is a problem
        limit = _data_size() + MEMORY
        resource.setrlimit(resource.RLIMIT_DATA, (limit, resource.RLIM_INFINITY))
    ignored: list[str] = []  # what a library raised where it could not: its result is not to trust
    sys.unraisablehook = lambda seen: ignored.append(f"{seen.exc_value!r} ignored in {seen.object}")
    before = _resident()
    for number in todo:
        reports.send(("begin", number, None))
        ignored.clear()
        cpu = time.process_time()
        try:
            job(number)
        except BaseException as e:
            where = traceback.extract_tb(e.__traceback__)[-1]
            said = f"{type(e).__name__}: {str(e)[:200]} at {where.filename}:{where.lineno}"
            reports.send(("problem", number, said))
        cpu = time.process_time() - cpu
        if ignored:
            reports.send(("problem", number, ignored[0]))
        if cpu > HANG:
            reports.send(("problem", number, f"{cpu:.1f} s"))
        if _resident() - before > MEMORY:
            reports.send(("problem", number, f"{_resident() >> 20} MiB resident"))
            before = _resident()
        reports.send(("end", number, cpu))
    reports.send(("peak", -1, _resident()))
    reports.send(("done", -1, None))


def _data_size() -> int:
    """Bytes of private writable memory the process has, what RLIMIT_DATA counts."""
    ctypes.CDLL(None).malloc_trim(0)
    return int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
