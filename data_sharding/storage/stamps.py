"""Which files have been found to be intact: each is hashed once a user, not once a process.

A shard is hashed before anything in it is used. Sixteen loader workers must not hash 20 GB each, so
the verdict is kept in the user's cache folder, for exactly this file: path, inode, size, times of
change and the sha256 it was checked against. A file that was touched since is hashed again. While
one process hashes, the others wait for its verdict. Without a cache folder that can be written,
every process hashes for itself.

`cache_home` is ``$OSTEORAY_CACHE``, else ``osteoray`` in ``$XDG_CACHE_HOME`` or ``~/.cache``.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedRandom, BufferedReader
from pathlib import Path

#: A file changed this recently could change again without its times telling.
SETTLED_NS = 2_000_000_000


def cache_home() -> Path:
    """The user's cache folder; ValueError where there is none."""
    if own := os.environ.get("OSTEORAY_CACHE"):
        return Path(own).absolute()
    try:
        shared = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError as e:
        raise ValueError("no home directory: set OSTEORAY_CACHE to a folder for the cache") from e
    return Path(shared).absolute() / "osteoray"


@contextmanager
def locked(path: Path) -> Iterator[BufferedRandom]:
    """Hold the lock file `path`, made if need be; others, threads too, wait until it is let go.

    Raises:
        OSError: it cannot be made, or the file system has no locks.
    """
    with path.open("a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # let go when the file is closed, or the process dies
        yield file


def is_intact(path: Path, file: BufferedReader, sha256: str, *, just_written: bool = False) -> bool:
    """Whether the open `file` at `path` has this sha256, by hashing it or by remembering.

    Args:
        path: where `file` was opened.
        file: open for reading; it is this file that is judged, whatever lies at `path` by now.
        sha256: in hex.
        just_written: the caller has written, hashed and closed it, and no one else changes it.
    """
    try:
        folder = _stamps()
        name = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:32]
        with locked(folder / name) as stamp:
            return _judge(file, sha256, stamp, just_written)
    except (OSError, ValueError):
        return _hashes_to(file, sha256)


def _stamps() -> Path:
    """The folder of verdicts, which must be the user's own: who writes there vouches for files."""
    folder = cache_home() / f"stamps-{os.getuid()}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.lstat()
    if status.st_uid != os.getuid() or status.st_mode & 0o022:
        raise ValueError(f"{folder}: others may write there")
    return folder


def _judge(file: BufferedReader, sha256: str, stamp: BufferedRandom, just_written: bool) -> bool:
    stamp.seek(0)
    said = stamp.read()
    before = _facts(file, sha256)
    if said == before:
        return True
    if not (just_written or _hashes_to(file, sha256)):
        return False
    status = os.fstat(file.fileno())
    settled = time.time_ns() - max(status.st_mtime_ns, status.st_ctime_ns) > SETTLED_NS
    if (settled or just_written) and _facts(file, sha256) == before:
        stamp.truncate(0)  # in append mode what is written follows
        stamp.write(before)
    return True


def _facts(file: BufferedReader, sha256: str) -> bytes:
    at = os.fstat(file.fileno())
    facts = [at.st_ino, at.st_size, at.st_mtime_ns, at.st_ctime_ns, sha256]
    return json.dumps(facts).encode()


def _hashes_to(file: BufferedReader, sha256: str) -> bool:
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest() == sha256
