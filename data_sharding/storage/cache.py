"""A bounded cache of files on the local disk, by sha256, shared by all processes of a node.

    OSTEORAY_CACHE=/scratch/cache OSTEORAY_CACHE_GIB=200 python -m training ...

Each object has a lock file: who finds it missing fills it, the others wait. A file is written
beside its place and renamed when its filler has proven it. When the cache is full, what was unused
for longest goes; a process that has it mapped keeps its bytes until it closes them (so the disk may
hold more than the limit for as long).

Layout: ``objects/SHA256`` and ``locks/SHA256``, whose time of change is the object's last use.
"""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from io import BufferedRandom, BufferedReader
from pathlib import Path

from data_sharding.storage.stamps import cache_home, is_intact, locked

#: Size of the cache where nobody says: a few of the largest sets of radiographs.
DEFAULT_GIB = 64.0


def cache_limit() -> int:
    """Bytes the cache may take: ``$OSTEORAY_CACHE_GIB``, 64 GiB by default."""
    text = os.environ.get("OSTEORAY_CACHE_GIB", str(DEFAULT_GIB))
    try:
        gib = float(text)
    except ValueError:
        gib = -1.0
    if not 0 < gib < 1e9:
        raise ValueError(f"OSTEORAY_CACHE_GIB={text!r}: not a number of GiB above 0")
    return int(gib * 2**30)


class Cache:
    """Objects of at most `limit` bytes together."""

    def __init__(self, folder: Path | None = None, limit: int | None = None) -> None:
        """Make the folders.

        Args:
            folder: on a local disk; by default `stamps.cache_home`.
            limit: bytes; by default `cache_limit`.

        Raises:
            ValueError: the folder cannot be made or has no file locks.
        """
        self.folder = Path(folder or cache_home()).absolute()
        self.limit = cache_limit() if limit is None else limit
        try:
            for name in ("objects", "locks", "datasets"):
                (self.folder / name).mkdir(parents=True, exist_ok=True)
            with self.lock("room"):
                pass
        except OSError as e:
            raise ValueError(
                f"{self.folder}: no place for a cache ({e}). Set OSTEORAY_CACHE to a local folder."
            ) from e

    def lock(self, name: str) -> AbstractContextManager[BufferedRandom]:
        """Hold one of the cache's locks."""
        return locked(self.folder / "locks" / name)

    def get(
        self, sha256: str, size: int, fill: Callable[[Path], None]
    ) -> tuple[Path, BufferedReader]:
        """An object's place and its open file; `fill` is called where it is not there.

        Args:
            sha256: in hex.
            size: bytes.
            fill: writes the object at a path it is given and raises if it is not the right one.

        Raises:
            ValueError: not a sha256, or larger than the cache may be.
        """
        if not re.fullmatch(r"[0-9a-f]{64}", sha256):
            raise ValueError(f"{sha256!r} is not a sha256")
        if not 0 < size <= self.limit:
            raise ValueError(
                f"{size} bytes do not go into a cache of {self.limit}. Set OSTEORAY_CACHE_GIB."
            )
        path = self.folder / "objects" / sha256
        with self.lock(sha256) as lock:
            os.utime(lock.name)
            file = self._open(path, sha256, size)
            if file is None:
                part = self._make_room(path, size)
                try:
                    fill(part)
                    file = part.open("rb")
                    part.replace(path)
                finally:
                    part.unlink(missing_ok=True)
                is_intact(path, file, sha256, just_written=True)
            return path, file

    def _open(self, path: Path, sha256: str, size: int) -> BufferedReader | None:
        """The open object, if it is there and intact; one that is not is taken away."""
        try:
            file = path.open("rb")
        except FileNotFoundError:
            return None
        if os.fstat(file.fileno()).st_size == size and is_intact(path, file, sha256):
            return file
        file.close()
        path.unlink(missing_ok=True)
        return None

    def _make_room(self, path: Path, size: int) -> Path:
        """A file of `size` bytes to write the object in, for which others had to go if need be."""
        part = path.with_name(f"{path.name}.part")
        while True:
            with self.lock("room"):
                part.unlink(missing_ok=True)  # left by a process that died
                there = list(path.parent.iterdir())
                free = self.limit - sum(_size(p) for p in there)
                for old in sorted(there, key=self._last_use):
                    if free >= size:
                        break
                    free += self._evict(old)
                if free >= size:
                    with part.open("xb") as f:
                        f.truncate(size)  # counts from now on
                    return part
            time.sleep(0.05)  # others are filling the cache: what they write can go when it is done

    def _last_use(self, path: Path) -> float:
        try:
            return (self.folder / "locks" / path.name.removesuffix(".part")).stat().st_mtime
        except FileNotFoundError:
            return 0.0

    def _evict(self, path: Path) -> int:
        """Take away an object, or a part that nobody is writing; the bytes gained."""
        size = _size(path)
        if path.name.endswith(".part"):
            with (self.folder / "locks" / path.name.removesuffix(".part")).open("a+b") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    return 0
                path.unlink(missing_ok=True)
                return size
        path.unlink(missing_ok=True)
        return size


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
