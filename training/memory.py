"""Memory that a step has freed stays with the process, for the next step to take again.

glibc gives large blocks back to the kernel when they are freed and asks for them anew, and the
kernel clears every page of them on the way: with activations of some megabytes that was a quarter
of a training step's time on a CPU (LOG.md, 2026-11-21). The price: the process keeps what it needed
at its peak.
"""

from __future__ import annotations

import ctypes
import sys

#: Of malloc.h: how much may lie free at the end of the heap, and how many blocks lie outside of it.
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4


def keep_freed() -> bool:
    """Tell malloc, for the whole process; False where it is not glibc's."""
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return bool(mallopt and mallopt(M_MMAP_MAX, 0) and mallopt(M_TRIM_THRESHOLD, 2**31 - 1))
