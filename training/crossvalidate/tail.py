"""What other processes write to their logs, said again here as it comes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

#: Bytes at the end of a log that are looked at for its last lines.
END = 1 << 16


@dataclass
class Tail:
    """The lines of a log from `at` bytes on, each said once it is whole."""

    path: Path
    at: int = 0

    @classmethod
    def from_now(cls, path: Path) -> Tail:
        """What is written from now on."""
        return cls(path, path.stat().st_size if path.exists() else 0)

    def lines(self) -> list[str]:
        """What has come since the last call; of a bar that redraws itself, its last look."""
        try:
            with self.path.open("rb") as f:  # anew each time: a network's storage looks again
                f.seek(self.at)
                data = f.read()
        except OSError:  # not there, or not just now
            return []
        whole = data[: data.rfind(b"\n") + 1]
        self.at += len(whole)
        return _texts(whole)


def last_lines(path: Path, n: int) -> list[str]:
    """The last `n` lines of a log that are not empty."""
    try:
        with path.open("rb") as f:
            f.seek(max(0, path.stat().st_size - END))
            return _texts(f.read())[-n:]
    except OSError:
        return []


def _texts(data: bytes) -> list[str]:
    found = (line.rpartition("\r")[2] for line in data.decode("utf-8", "replace").split("\n"))
    return [line.rstrip() for line in found if line.strip()]
