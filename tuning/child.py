"""A trial's training in a process of its own, so that what ends it does not end the sweep.

An out-of-memory kill, a crash of a driver library, a hang: the parent sees how the child ended and
goes on. Children are forked from a server that has torch and training imported already, which
saves several seconds a trial. A child whose parent was killed writes a checkpoint and ends.
"""

from __future__ import annotations

import contextlib
import errno
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from multiprocessing import connection, forkserver
from pathlib import Path
from typing import Any

from training.config import Config
from training.interrupt import EXIT_CODE, Interrupted

#: Imported once, by the server.
PRELOADED = ["training.launch", "training.stages", "tuning.child"]
#: Seconds that a child has to write its checkpoint after it was asked to stop.
GRACE_S = 60.0
#: Exit codes: an exception (see error.txt); a disk that is full.
FAILED, FULL = 1, 74
#: The parent's code for a child whose end it did not see: the server was killed.
UNSEEN = 255
#: Who dies first where memory runs out: 0 is anybody, 1000 this one.
OOM_SCORE = 500


def warm_up() -> None:
    """Start the server, which then imports what children need; returns at once."""
    multiprocessing.set_forkserver_preload(PRELOADED)
    before = os.environ.get("PYTHONPATH")
    # It does not know this process's path (Python 3.11 leaves out what it is told).
    here = str(Path(__file__).resolve().parents[1])
    os.environ["PYTHONPATH"] = os.pathsep.join(p for p in (here, before) if p)
    try:
        forkserver.ensure_running()
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


class Child:
    """A process that does `work` for a run."""

    def __init__(self, work: Callable[..., Any], *args: Any, error: Path) -> None:
        """Start it. What goes wrong in it is written to the file `error`."""
        warm_up()
        error.unlink(missing_ok=True)
        self.error = error
        self._begun, theirs = multiprocessing.Pipe(duplex=False)
        self.process = multiprocessing.get_context("forkserver").Process(
            target=_child,
            args=(dict(os.environ), self.error, theirs, work, args),
            name=error.parent.name,
        )
        self.process.start()
        theirs.close()
        self.asked: float | None = None

    def ended(self, timeout_s: float) -> bool:
        """Wait until it ends, at most so long; whether it has. It is killed after its grace."""
        if self.asked is not None and time.monotonic() - self.asked > GRACE_S:
            self.process.kill()
        return bool(connection.wait([self.process.sentinel], timeout_s))

    def has_begun(self) -> bool:
        """Is its work begun, and not only what Python needs for it?"""
        return self._begun.poll()

    def stop(self) -> None:
        """Ask it to write a checkpoint and to end."""
        if self.asked is None:
            self.asked = time.monotonic()
            self.process.terminate()

    def kill(self) -> None:
        """End it now."""
        self.process.kill()
        self.process.join()

    @property
    def code(self) -> int:
        """How it ended: an exit code, or minus a signal."""
        self.process.join()
        assert self.process.exitcode is not None
        return self.process.exitcode

    def why(self) -> str:
        """What ended it, in a line."""
        code = self.code
        if code == FAILED and self.error.exists():
            return self.error.read_text(errors="replace").partition("\n")[0]
        if code == -signal.SIGKILL:
            return "killed by signal 9 (out of memory?)"
        if code < 0:
            return f"killed by signal {-code} ({signal.strsignal(-code)})"
        return f"ended with exit code {code}"


def train(config: Config, folder: Path) -> None:
    """Do what is left of a prepared run."""
    from training.launch import launch

    launch(config, folder)


def send(folder: Path, mode: str) -> None:
    """Give W&B what a trial's run has recorded; whoever waits for it decides when it is enough."""
    from training.interrupt import listening
    from training.tracking import say
    from training.tracking.sync import sync

    with listening():
        sync(folder, None, mode, say)  # type: ignore[arg-type]


def _child(
    environment: dict[str, str],
    error: Path,
    begun: connection.Connection,
    work: Callable[..., Any],
    args: tuple[Any, ...],
) -> None:
    os.environ.clear()
    os.environ.update(environment)
    with contextlib.suppress(OSError):  # Linux has it
        Path("/proc/self/oom_score_adj").write_text(str(OOM_SCORE))
    threading.Thread(target=_orphaned, name="parent", daemon=True).start()
    begun.send_bytes(b".")
    begun.close()
    try:
        work(*args)
    except (Interrupted, KeyboardInterrupt):
        sys.exit(EXIT_CODE)
    except BaseException as e:
        if isinstance(e, OSError) and e.errno in (errno.ENOSPC, errno.EDQUOT):
            sys.exit(FULL)
        line = " ".join(f"{type(e).__name__}: {e}".split())[:500]
        error.write_text(f"{line}\n\n{traceback.format_exc()}")
        sys.exit(FAILED)


def _orphaned() -> None:
    """When the parent is gone: as if asked to stop, and soon by force."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_S)
    os._exit(EXIT_CODE)
