"""``variants.json``: which run is which variant, as `python -m training variants` leaves it."""

from __future__ import annotations

import json
from pathlib import Path


def listed(path: Path) -> tuple[list[str], list[str]]:
    """Runs' folders, which lie beside the file, and what they are called; the yardstick first.

    Raises:
        ValueError: no such file, or no list of runs' names by variants'.
    """
    try:
        runs = json.loads(path.read_text())["runs"]
        called = [str(name) for name in runs]
        names = [str(run) for run in runs.values()]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as e:
        raise ValueError(
            f"{path}: no list of variants ({type(e).__name__}: {e}); "
            "`python -m training variants` writes one"
        ) from e
    if strange := [n for n in names if not n or Path(n).name != n]:
        raise ValueError(f"{path}: {strange[0]!r} is not the name of a run beside this file")
    return [str(path.parent / n) for n in names], called
