"""Keyed pseudonyms, and the folder beside a dataset that must never leave the hospital.

`OUT.private/` (mode 0700) lies beside OUT, never inside it: copying OUT copies no key.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path

from data_sharding.schema import write_atomic


class Pseudonyms:
    """HMAC-SHA256 names: the same key gives the same names, without the key they say nothing."""

    def __init__(self, key: bytes, source: str) -> None:
        self._key = key
        self._source = source

    def __call__(self, kind: str, name: str) -> str:
        """20 hex digits for a `kind` ("patient", "sample", "item") called `name` at this source."""
        text = "\0".join(["osteoray/1", self._source, kind, name])
        return hmac.new(self._key, text.encode("utf-8", "surrogatepass"), "sha256").hexdigest()[:20]

    def shift(self, patient: str, day: date) -> date:
        """`day` moved back by the patient's own number of days, 1 to 3,650: intervals stay."""
        return day - timedelta(days=1 + int(self("shift", patient), 16) % 3650)

    def sooner(self, patient: str) -> int:
        """By how many days the patient's follow-up ends sooner in a dataset, 1 to 365.

        A registry has one closing day for all: without it, that day minus the days of follow-up
        is the real day of a picture.
        """
        return 1 + int(self("follow-up", patient), 16) % 365

    def uid(self, uid: str) -> str:
        """A DICOM UID in place of `uid` (PS3.5 B.2: 2.25. and a 128-bit number); '' stays ''."""
        text = "\0".join(["osteoray/1", self._source, "uid", uid])
        digest = hmac.new(self._key, text.encode("utf-8", "surrogatepass"), "sha256").digest()
        return f"2.25.{int.from_bytes(digest[:16], 'big')}" if uid else ""

    @property
    def key_id(self) -> str:
        """A fingerprint that tells two keys apart and gives neither away."""
        return hashlib.sha256(b"osteoray key id\0" + self._key).hexdigest()[:16]


def private_folder(out: Path) -> Path:
    """`OUT.private` beside `out`, made with mode 0700."""
    folder = out.with_name(out.name + ".private")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    return folder


def load_key(folder: Path, key_file: Path | None) -> bytes:
    """The 32-byte key: of `key_file`, else of the private folder, made there at first.

    Raises:
        ValueError: the file is not there or holds no key; says how to make one.
    """
    path = key_file or folder / "pseudonym.key"
    if key_file is None and not path.exists():
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as f:
            f.write(secrets.token_hex(32) + "\n")
    try:
        key = bytes.fromhex(path.read_text("ascii").strip())
    except (OSError, ValueError):
        key = b""
    if len(key) != 32:
        raise ValueError(
            f"{path}: not a key of 64 hex digits. Make one: "
            f"python -c 'import secrets; print(secrets.token_hex(32))' > {path.name}"
        )
    return key


class AtWork(ValueError):
    """Another process holds the folder."""


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold a folder: two commands at work in it at a time would mix their files.

    Raises:
        AtWork: another process holds it.
    """
    with (folder / ".lock").open("w") as f:
        try:
            fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as e:
            raise AtWork(f"{folder}: another command is at work here; let it finish") from e
        yield


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read."""
    write_atomic(path, text.encode("utf-8", "surrogateescape"))
    path.chmod(0o600)
