"""Claims as rows of the study's database: table ``osteoray_claims(study, slot, owner, beat)``.

A row is taken by an INSERT, which the primary key lets one of many win, or by an UPDATE of a row
whose lease is over. A thread renews it three times a lease. All times are the database's own:
the machines' clocks need not agree.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from typing import Self

import sqlalchemy as sa
from sqlalchemy.exc import DatabaseError, IntegrityError, SQLAlchemyError

TABLE = sa.Table(
    "osteoray_claims",
    sa.MetaData(),
    sa.Column("study", sa.String(200), primary_key=True),
    sa.Column("slot", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("owner", sa.String(32), nullable=False),
    sa.Column("beat", sa.Float(53), nullable=False),
)
#: Seconds since 1970 by the clock of the database, by SQLAlchemy's name of it.
CLOCKS = {
    "postgresql": "extract(epoch from clock_timestamp())",
    "mysql": "unix_timestamp(now(6))",
    "mariadb": "unix_timestamp(now(6))",
    "sqlite": "((julianday('now') - 2440587.5) * 86400.0)",
}


class TableClaim:
    """A row that a thread keeps alive."""

    def __init__(self, claims: TableClaims, slot: int, owner: str) -> None:
        self.claims, self.slot, self.owner = claims, slot, owner
        self.renewed = time.monotonic()
        self.taken, self.done = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self._beat, name=f"claim-{slot}", daemon=True)
        self.thread.start()

    def lost(self) -> bool:
        """True once another owns the row, or it could not be renewed for a whole lease."""
        return self.taken.is_set() or time.monotonic() - self.renewed > self.claims.lease_s

    def _beat(self) -> None:
        while not self.done.wait(self.claims.lease_s / 3):
            asked = time.monotonic()
            try:
                mine = self.claims.renew(self.slot, self.owner)
            except SQLAlchemyError:
                continue  # the next may come through; `lost` knows how long it has been
            if not mine:
                self.taken.set()
                return
            self.renewed = asked

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.done.set()
        self.thread.join()
        with contextlib.suppress(SQLAlchemyError):  # its lease ends
            self.claims.release(self.slot, self.owner)


class TableClaims:
    """Claims of processes on any machine that reaches the database."""

    def __init__(self, url: str, study: str, lease_s: float = 60.0) -> None:
        """Make the table if need be.

        Raises:
            ValueError: claims cannot be kept in this kind of database.
        """
        self.study, self.lease_s = study, lease_s
        self.engine = sa.create_engine(url, poolclass=sa.NullPool)
        clock = CLOCKS.get(self.engine.dialect.name)
        if clock is None:
            raise ValueError(
                f"--storage {self.engine.dialect.name}: sweeps are shared through "
                f"{', '.join(CLOCKS)}, or leave --storage out"
            )
        self.now: sa.ColumnElement[float] = sa.literal_column(clock, sa.Float(53))
        try:
            TABLE.create(self.engine, checkfirst=True)
        except DatabaseError:  # another has made it since we looked
            TABLE.create(self.engine, checkfirst=True)

    def take(self, slot: int) -> TableClaim | None:
        """Claim a trial; None where another has it and its lease is not over."""
        owner = secrets.token_hex(16)
        row = {"study": self.study, "slot": slot, "owner": owner}
        with self.engine.begin() as connection:
            changed = connection.execute(
                sa.update(TABLE)
                .where(self._is(slot), TABLE.c.beat < self.now - self.lease_s)
                .values(owner=owner, beat=self.now)
            ).rowcount
        if not changed:
            try:
                with self.engine.begin() as connection:
                    connection.execute(sa.insert(TABLE).values(**row, beat=self.now))
            except IntegrityError:
                return None
        return TableClaim(self, slot, owner)

    def renew(self, slot: int, owner: str) -> bool:
        """Begin the lease anew; False where the row is not the owner's any more."""
        with self.engine.begin() as connection:
            mine = sa.update(TABLE).where(self._is(slot), TABLE.c.owner == owner)
            return bool(connection.execute(mine.values(beat=self.now)).rowcount)

    def release(self, slot: int, owner: str) -> None:
        """Give it back."""
        with self.engine.begin() as connection:
            connection.execute(sa.delete(TABLE).where(self._is(slot), TABLE.c.owner == owner))

    def held(self) -> list[int]:
        """Slots whose lease is not over."""
        mine = (TABLE.c.study == self.study) & (TABLE.c.beat >= self.now - self.lease_s)
        with self.engine.connect() as connection:
            return sorted(connection.scalars(sa.select(TABLE.c.slot).where(mine)))

    def clear(self) -> None:
        """Delete this study's rows."""
        with self.engine.begin() as connection:
            connection.execute(sa.delete(TABLE).where(TABLE.c.study == self.study))

    def _is(self, slot: int) -> sa.ColumnElement[bool]:
        return (TABLE.c.study == self.study) & (TABLE.c.slot == slot)
