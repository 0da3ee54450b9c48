"""The end of a process that has used Ray.

Ray's and gRPC's threads outlive ``ray.shutdown()``. Now and then one of them runs into what the
interpreter's end has already taken down, and a run that was complete would be reported as ended by
a segmentation fault (seen twice in two days of tests, in ``_raylet.so``). So what is to be done at
the end is done here, and the process ends with its own exit code before anything is taken down.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import threading
from collections.abc import Callable
from typing import NoReturn


def run(main: Callable[[list[str]], None], words: list[str]) -> None:
    """A command line to its end; without Ray it ends as Python ends."""
    try:
        main(words)
        code = 0
    except SystemExit as e:
        if "ray" not in sys.modules or not (e.code is None or isinstance(e.code, int)):
            raise
        code = e.code or 0
    if "ray" in sys.modules:
        leave(code)


def leave(code: int) -> NoReturn:
    """Join threads, do what was registered for the end, and end at once."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # nobody listens any more
            stream.flush()
    os._exit(code)
