"""A line that people read."""

from __future__ import annotations

import sys
import time


def say(line: str) -> None:
    """One plain line with the time of day, flushed: readable in a terminal and in a job's log."""
    print(f"{time.strftime('%H:%M:%S')}  {line}", file=sys.stdout, flush=True)
