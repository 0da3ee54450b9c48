"""Functions compiled by numba, for all the folders."""

from __future__ import annotations

from typing import Any

import numba


def compiled(function: Any = None, **options: Any) -> Any:
    """Decorator: compile, and keep the result for other processes where there is a place to write.

    Args:
        function: what is compiled; it lets other threads run meanwhile.
        options: of ``numba.njit`` besides.
    """
    if function is None:
        return lambda f: compiled(f, **options)
    try:
        return numba.njit(cache=True, nogil=True, **options)(function)
    except RuntimeError:  # neither this folder nor the user's cache can be written
        return numba.njit(nogil=True, **options)(function)
