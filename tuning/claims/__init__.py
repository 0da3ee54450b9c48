"""Who works on which trial of a sweep: a claim is held by one live process, whoever was killed.

Where the study is a file (journal, SQLite) a claim is a lock on a file, which the kernel frees with
its holder. Where a database server holds the study and machines share it, a claim is a row with a
lease that is renewed while its holder lives.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, Self

from tuning.claims.files import FileClaims
from tuning.claims.table import TableClaims

__all__ = ["Claim", "Claims", "claims_of"]


class Claim(Protocol):
    """One trial's place, ours until the end of a ``with`` block."""

    def lost(self) -> bool:
        """Was it taken from us? Then another works on the trial, and we must write no more."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...


class Claims(Protocol):
    """The claims of one sweep."""

    def take(self, slot: int) -> Claim | None:
        """Claim a trial; None where another live process has it."""
        ...

    def held(self) -> list[int]:
        """Slots that live processes hold, this one included; a look, already old."""
        ...

    def clear(self) -> None:
        """Forget all of them; for a sweep that is deleted, and that nobody works on."""
        ...


def claims_of(folder: Path, storage: str | None, lease_s: float = 60.0) -> Claims:
    """The claims of the sweep in `folder`.

    Args:
        folder: the sweep's; its name is the study's.
        storage: URL of the database that holds the study, as SQLAlchemy takes it; None is a file.
        lease_s: seconds after which a holder that says nothing counts as dead (databases).
    """
    if storage is None or storage.startswith("sqlite"):
        return FileClaims(folder / "claims")
    return TableClaims(storage, folder.name, lease_s)
