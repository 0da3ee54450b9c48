"""Every file under a folder, as hospitals hand folders over: with links, and with locked rooms.

from data_sharding.sources.folders import files_under
for path in files_under(Path("asan/dicom")):
    print(path)
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


def files_under(folder: Path) -> Iterator[Path]:
    """Every file under `folder`, and every folder that is not entered; sorted within each folder.

    Linked folders are followed, each folder once. Not entered is what may not be read, and a link
    to a folder that `folder` itself lies in: through it the walk would go over the whole machine.
    What is given for these is the folder or link itself, which no reader takes for a file.
    """
    if not folder.is_dir():
        return
    above = set[tuple[int, int]]()
    for path in folder.resolve().parents:
        with suppress(OSError):
            above.add(_identity(path))
    seen: set[tuple[int, int]] = set()
    todo = [folder]
    while todo:
        here = todo.pop()
        try:
            who = _identity(here)
            # with the dot: a folder may show its names and let nobody open what they name
            entries = [] if who in above else sorted(os.scandir(f"{here}/."), key=lambda e: e.name)
        except OSError:
            yield here
            continue
        if who in above:
            yield here
            continue
        if who in seen:
            continue
        seen.add(who)
        folders = [entry.name for entry in entries if _is_folder(entry)]
        yield from (here / name for name in _without(entries, folders))
        todo += [here / name for name in reversed(folders)]


def _without(entries: list[os.DirEntry[str]], folders: list[str]) -> list[str]:
    skipped = set(folders)
    return [entry.name for entry in entries if entry.name not in skipped]


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to where nothing may be looked at
        return False
