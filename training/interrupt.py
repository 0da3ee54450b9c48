"""Being asked to stop: SIGTERM, Ctrl-C, a node that is about to go.

Training then writes a checkpoint and the process exits with 75 (EX_TEMPFAIL: try again), which
schedulers may take as a request to run the same command again. One rank that is asked is enough:
all agree about once a second (`training.pace`).
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

EXIT_CODE = 75
#: Ctrl-C reaches a process twice at once, from the terminal and from torchrun: that is one wish.
SAME_S = 1.0


class Interrupted(Exception):
    """Training stopped at a checkpoint because it was asked to; the same command goes on."""


class Stop:
    """True once this process was asked to stop."""

    def __init__(self) -> None:
        self.asked: float | None = None

    def __call__(self) -> bool:
        """True from the first signal on."""
        return self.asked is not None

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Note the wish. A Ctrl-C after it, of somebody who will not wait, ends at once."""
        before, now = self.asked, time.monotonic()
        self.asked = before or now
        if number == signal.SIGINT and before and now - before > SAME_S:
            raise KeyboardInterrupt


@contextmanager
def listening(stop: Stop | None = None) -> Iterator[Stop]:
    """Note SIGTERM and SIGINT until the end of the block, instead of dying of them.

    Only a process's main thread hears signals; in another the answer stays false.

    Args:
        stop: where to note them, if others have taken the signals from it in between.
    """
    stop = stop or Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {n: signal.signal(n, stop.handle) for n in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
