"""The study of a sweep on disk or in a database: the only memory that a sweep has.

The journal is a file of JSON lines to which one process at a time appends, under a lock that the
kernel frees with its holder. Half a line that a kill or a full disk has left is cut off by the next
one that takes the lock.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import time
from pathlib import Path
from typing import IO

import optuna
import sqlalchemy as sa
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.storages.journal._file import BaseJournalFileLock
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from tuning.sweep import Sweep

#: States of a trial that nothing is left to do of.
SETTLED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
#: The last line of a journal is looked for in so many bytes at a time.
BLOCK = 1 << 16
#: Of two that make the tables of an empty database at a time one is told off, and tries again.
TRIES, PAUSE_S = 5, 0.5


class JournalLock(BaseJournalFileLock):
    """flock on ``<journal>.lock``; what is torn at the journal's end is cut when it is taken."""

    def __init__(self, journal: Path) -> None:
        self.journal, self.file = journal, None

    file: IO[str] | None

    def acquire(self) -> bool:
        """Wait for it."""
        file = self.journal.with_name(self.journal.name + ".lock").open("w")
        fcntl.flock(file, fcntl.LOCK_EX)
        self.file = file
        mend(self.journal)
        return True

    def release(self) -> None:
        """Give it back."""
        assert self.file is not None
        self.file.close()
        self.file = None


def mend(journal: Path) -> int:
    """Cut from the end what is no whole line of JSON; the bytes cut. The caller has the lock."""
    if not journal.exists():
        return 0
    with journal.open("r+b") as f:
        size = end = f.seek(0, 2)
        while end:
            start = _line_start(f, end)
            f.seek(start)
            line = f.read(end - start)
            if line.endswith(b"\n") and _is_record(line):
                break
            end = start
        if end < size:
            f.truncate(end)
    return size - end


def _line_start(f: IO[bytes], end: int) -> int:
    """Where the line begins that ends (with or without its newline) before byte `end`."""
    stop = end - 1  # a newline there is the line's own
    while stop > 0:
        begin = max(0, stop - BLOCK)
        f.seek(begin)
        found = f.read(stop - begin).rfind(b"\n")
        if found >= 0:
            return begin + found + 1
        stop = begin
    return 0


def _is_record(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def open_study(sweep: Sweep) -> Study:
    """The study, made if need be. Its sampler and pruner are not used: see `tuning.draw`.

    Raises:
        ValueError: the storage cannot be opened or is damaged, or the sweep was begun in another.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    # A server that went away is raised, and so said once; its pool would print a traceback besides.
    logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL)
    url_of(sweep.storage)
    sweep.save()
    _same_place(sweep)
    for left in reversed(range(TRIES)):
        try:
            return _opened(sweep, _storage(sweep))
        except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as e:
            if not left:
                raise ValueError(f"--storage {shown(sweep.storage)}: {_first_line(e)}") from e
            time.sleep(PAUSE_S)
        except (KeyError, TypeError, ValueError) as e:
            if sweep.storage:
                raise
            raise ValueError(
                f"{sweep.folder / 'journal.log'}: damaged within ({e}); put a copy of it back, or "
                "start over with --fresh"
            ) from e
    raise AssertionError


def _opened(sweep: Sweep, storage: BaseStorage) -> Study:
    # These two are for whoever looks on; who draws, and who is stopped, is decided elsewhere.
    how = {"sampler": optuna.samplers.RandomSampler(0), "pruner": optuna.pruners.NopPruner()}
    name = sweep.folder.name
    if name in optuna.get_all_study_names(storage):
        return optuna.load_study(study_name=name, storage=storage, **how)
    directions = sweep.directions
    return optuna.create_study(
        study_name=name, storage=storage, directions=directions, load_if_exists=True, **how
    )


def delete_study(sweep: Sweep) -> None:
    """Forget all trials that a database holds; files, the journal among them, are the caller's."""
    if sweep.storage:
        with contextlib.suppress(KeyError):  # there was none
            optuna.delete_study(study_name=sweep.folder.name, storage=_storage(sweep))


def url_of(storage: str | None) -> str | None:
    """The database's URL with a driver that is installed.

    Raises:
        ValueError: it is no URL.
    """
    if storage is None:
        return None
    try:
        url = sa.make_url(storage)
    except ArgumentError as e:
        raise ValueError(
            "--storage: not a database's URL, such as postgresql://user:password@host/database or "
            "sqlite:////data/sweep.db"
        ) from e
    if url.drivername in ("postgres", "postgresql"):
        url = url.set(drivername="postgresql+pg8000")
    return url.render_as_string(hide_password=False)


def shown(storage: str | None) -> str:
    """A storage as people may read it: without its password."""
    return sa.make_url(storage).render_as_string() if storage else "journal.log"


def _storage(sweep: Sweep) -> BaseStorage:
    url = url_of(sweep.storage)
    if url is None:
        journal = sweep.folder / "journal.log"
        return JournalStorage(JournalFileBackend(str(journal), lock_obj=JournalLock(journal)))
    options = {"connect_args": {"timeout": 60}} if url.startswith("sqlite") else {}
    try:
        return RDBStorage(url, engine_kwargs={"pool_pre_ping": True, **options})
    except ImportError as e:
        raise ValueError(f"--storage {shown(url)}: its driver is not installed: {e}") from e


def _same_place(sweep: Sweep) -> None:
    """A sweep that is begun in one storage must not be begun again in another."""
    note = sweep.folder / "storage.txt"  # without a password
    here = shown(sweep.storage)
    if not note.exists():
        note.write_text(here + "\n")
        return
    before = note.read_text().strip()
    if _kind(before) != _kind(here):
        raise ValueError(
            f"{sweep.folder}: its trials are in {before}, and not in {here}: give --storage as "
            "before, or start over with --fresh"
        )


def _kind(place: str) -> str:
    return place.split(":")[0].split("+")[0]


def _first_line(error: Exception) -> str:
    cause = error.__cause__ or error
    return str(cause).strip().splitlines()[0] if str(cause).strip() else type(cause).__name__


def settled(study: Study) -> list[FrozenTrial]:
    """Trials that nothing is left to do of, by slot: complete, pruned, failed."""
    return [t for _, t in sorted(by_slot(study).items()) if t.state in SETTLED]


def pending(study: Study, trials: int) -> list[int]:
    """Slots of the first `trials` that are not settled."""
    done = {t.user_attrs["slot"] for t in settled(study)}
    return [slot for slot in range(trials) if slot not in done]


def by_slot(study: Study) -> dict[int, FrozenTrial]:
    """The trial of each slot. Of two (a machine slept through its lease) the first counts."""
    found: dict[int, FrozenTrial] = {}
    for trial in study.get_trials(deepcopy=False):
        if "slot" in trial.user_attrs:
            found.setdefault(trial.user_attrs["slot"], trial)
    return found
