"""Folds one after the other, on this machine: a process each, and no Ray."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from queue import SimpleQueue

from training.crossvalidate.work import Job, work
from training.interrupt import EXIT_CODE


class Here:
    """One fold at a time. A daemon thread starts them: who presses Ctrl-C twice is not held up."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[tuple[Job, Future[int]] | None] = SimpleQueue()
        self._going = True
        threading.Thread(target=self._serve, name="folds", daemon=True).start()

    def submit(self, job: Job) -> Future[int]:
        """Begin a fold when those before have ended; its exit status."""
        future: Future[int] = Future()
        self._queue.put((job, future))
        return future

    def stop(self) -> None:
        """Ask the fold at work to stop; those that wait are not begun."""
        self._going = False

    def begun(self, job: Job) -> bool:
        """Whether it shall be waited for when all are asked to stop."""
        return True

    def close(self) -> None:
        """No more will come."""
        self.stop()
        self._queue.put(None)

    def _serve(self) -> None:
        while asked := self._queue.get():
            job, future = asked
            try:
                status = work(job, lambda: self._going) if self._going else EXIT_CODE
                future.set_result(status)
            except BaseException as e:  # it is raised again where it is waited for
                future.set_exception(e)
