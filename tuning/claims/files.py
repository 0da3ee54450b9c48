"""Claims as locked files: ``claims/<slot>.lock`` in the sweep's folder.

The lock (flock) belongs to an open file, and the kernel frees it when its holder ends, however it
ends: no time-out has to be waited for, and no stale lock can be left. The file itself stays: it
tells who held it last. On NFS flock needs version 4 (Linux makes byte-range locks of it).
"""

from __future__ import annotations

import fcntl
import os
import socket
from pathlib import Path
from typing import IO, Self


class FileClaim:
    """A locked file."""

    def __init__(self, file: IO[str]) -> None:
        self.file = file

    def lost(self) -> bool:
        """Never: the lock is ours as long as we live."""
        return False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.file.close()


class FileClaims:
    """Claims of processes that see one file system."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def take(self, slot: int) -> FileClaim | None:
        """Lock the slot's file; None where another open file has the lock, of this process too."""
        self.folder.mkdir(parents=True, exist_ok=True)
        file = (self.folder / f"{slot}.lock").open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return None
        file.truncate(0)
        file.write(f"{socket.gethostname()} {os.getpid()}\n")
        file.flush()
        return FileClaim(file)

    def held(self) -> list[int]:
        """Slots whose files are locked."""
        found = []
        for path in self.folder.glob("*.lock"):
            with path.open() as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    found.append(int(path.stem))
        return sorted(found)

    def clear(self) -> None:
        """Remove the files."""
        for path in self.folder.glob("*.lock"):
            path.unlink()
