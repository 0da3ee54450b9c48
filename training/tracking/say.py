"""A line that people read."""

from __future__ import annotations

import contextlib
import sys
import time


def say(line: str) -> None:
    """One plain line with the time of day, flushed: readable in a terminal and in a job's log.

    Nobody may listen any more, or the log's disk be full: the work goes on.
    """
    text = " ".join(line.splitlines())
    with contextlib.suppress(OSError):
        print(f"{time.strftime('%H:%M:%S')}  {text}", file=sys.stdout, flush=True)
