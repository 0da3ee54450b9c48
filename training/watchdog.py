"""A worker that makes no progress says where it hangs, and ends, so that others need not wait.

A rank that waits for one that will never answer, a read from storage that is gone: nothing of that
raises. Whoever makes progress calls `feed()`; when nobody has for `stall_s` seconds, the stacks of
all threads go to stderr and the process exits with 70. Ray Train and torchrun then start the
workers again, from the newest checkpoint.
"""

from __future__ import annotations

import faulthandler
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

EXIT_CODE = 70
#: Descriptor of stderr: `sys.stderr` may be replaced by something that has none.
STDERR = 2


class _Progress:
    at = 0.0
    stage = "start"


def feed(stage: str = "") -> None:
    """There is progress; in `stage`, if it is a new one. Costs as little as reading a clock."""
    _Progress.at = time.monotonic()
    if stage:
        _Progress.stage = stage


def feeding(stop: Callable[[], bool]) -> Callable[[], bool]:
    """`stop`, and each question is a sign of progress: it is asked between two steps."""

    def asked() -> bool:
        feed()
        return stop()

    return asked


@contextmanager
def watching(stall_s: float, who: str, beat: Callable[[], None] = lambda: None) -> Iterator[None]:
    """End this process when it is not fed for `stall_s` seconds, until the end of the block.

    Args:
        stall_s: seconds without progress.
        who: this worker's name, for the message.
        beat: called several times in `stall_s`, in another thread, while all is well.
    """
    feed()
    ended = threading.Event()
    watch = threading.Thread(
        target=_watch, args=(stall_s, who, beat, ended), name="watchdog", daemon=True
    )
    watch.start()
    try:
        yield
    finally:
        ended.set()
        watch.join()


def _watch(stall_s: float, who: str, beat: Callable[[], None], ended: threading.Event) -> None:
    pause = min(5.0, stall_s / 10)
    woke = time.monotonic()
    while not ended.wait(pause):
        now = time.monotonic()
        if now - woke > stall_s / 2:
            feed()  # the whole process slept (Ctrl-Z): that is no stall
        woke = now
        if now - _Progress.at > stall_s:
            _end(now - _Progress.at, who)
        beat()


def _end(seconds: float, who: str) -> None:
    line = (
        f"\n{who} ({_Progress.stage}): no progress for {seconds:.0f} s; this is where it hangs "
        "(compute.stall_s says how long to wait):\n"
    )
    sys.stdout.flush()
    os.write(STDERR, line.encode())
    faulthandler.dump_traceback(STDERR, all_threads=True)
    os._exit(EXIT_CODE)
