"""Trackers that feed W&B from ``metrics.jsonl``: at the end of a stage, or while it runs.

W&B may be slow, away or broken: training does not wait for it, and goes on without.
"""

from __future__ import annotations

import threading

from training.tracking.identity import Identity
from training.tracking.jsonl import JsonlTracker
from training.tracking.sync import reason, recorded_of, replay
from training.tracking.tracker import Record
from training.tracking.wandb_run import FINISH_S, START_S, WandbRun

#: Threads that send, by the id of their run.
_SENDING: dict[str, threading.Thread] = {}


class Offline:
    """Writes the offline run when the stage is done: one, however often it was restarted."""

    def __init__(self, file: JsonlTracker, identity: Identity) -> None:
        self.file, self.identity = file, identity
        self.resume, self.progress = file.resume, file.progress
        self.log, self.summary = file.log, file.summary

    def close(self) -> None:
        """Write it."""
        self.file.close()
        try:
            replay(self.identity)
        except Exception as e:  # the library's errors are many, and none is worth a training
            _warn(self.file, self.identity, e)


class Online:
    """A thread of its own begins the run and sends what comes into the file."""

    def __init__(
        self, file: JsonlTracker, identity: Identity, patience_s: float = FINISH_S
    ) -> None:
        """Wait at most `patience_s` at the end for what is not sent yet."""
        self.file, self.identity, self.patience_s = file, identity, patience_s
        self.progress = file.progress
        self.run: WandbRun | None = None  # when it has begun
        self.news, self.done = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self._send, name="wandb", daemon=True)

    def resume(self, step: int) -> None:
        """Go on, or begin."""
        self.file.resume(step)
        self._wake()

    def log(self, record: Record) -> None:
        """To the file; the thread looks there."""
        self.file.log(record)
        self._wake()

    def summary(self, values: Record) -> None:
        """To the file; sent at the end."""
        self.file.summary(values)

    def close(self) -> None:
        """Send the rest."""
        self.file.close()
        self.done.set()
        self._wake()
        self.thread.join(START_S + FINISH_S)
        if self.thread.is_alive():
            _warn(self.file, self.identity, TimeoutError("it takes too long"), " --online")

    def _wake(self) -> None:
        if self.thread.ident is None:
            self.thread.start()
        self.news.set()

    def _send(self) -> None:
        before, _SENDING[self.identity.id] = _SENDING.get(self.identity.id), self.thread
        if before:  # the stage before this one, if all are one run: it was not waited for
            before.join()
        try:
            run = self.run = WandbRun(self.identity, "online")
            while True:
                self.news.wait()
                self.news.clear()
                done = self.done.is_set()
                recorded = recorded_of(self.identity)
                run.feed(recorded.records)
                if done:
                    run.finish(recorded)
                    return
        except Exception as e:
            _warn(self.file, self.identity, e, " --online")


def _warn(file: JsonlTracker, identity: Identity, error: Exception, option: str = "") -> None:
    file.echo(
        f"warning: W&B: {reason(error)}. {file.path.name} has all of it; later: "
        f"python -m training track sync {identity.folder}{option}"
    )
