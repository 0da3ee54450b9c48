"""Who copies samples into the slots of a ring of batches: this process, or workers.

Slots are asked for in some order and answered in the same order; a worker that is asked for several
begins the next one at once. The ring is memory shared by all, made once, and a worker answers with
an empty message: to send a batch, or to share new memory for each, costs more than to read it. The
ring has no name that could outlive its processes; where the system's shared memory is too small for
it (Docker allows 64 MB), it lies in a file.
"""

from __future__ import annotations

import json
import multiprocessing
import signal
import traceback
import weakref
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from ctypes import c_uint8
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from data_sharding.order import Ids
from data_sharding.reader import ShardDataset

#: Seconds that workers have to finish what they are at when all is closed.
PATIENCE_S = 5.0

Data = Sequence[ShardDataset]
#: Names of arrays with their shapes [slots, b, ...] and dtypes; the pictures' name is PICTURES.
Layout = tuple[tuple[str, tuple[int, ...], str], ...]
Rings = dict[str, npt.NDArray[Any]]
PICTURES = ""


class Fillers(Protocol):
    """Those who fill the slots of `rings`: pictures, [slots, b, H, W] or [slots, b, H, W, 3], and
    extras, [slots, b, ...]."""

    rings: Rings

    @property
    def closed(self) -> bool:
        """Whether they were ended, or one died."""
        ...

    def ask(self, slot: int, ids: Ids, later: Ids) -> None:
        """Have `slot` filled with the samples `ids`, int64 [b, 2], (dataset, sample); -1 is black.

        `later`, int64 [n, 2], are pictures that will be needed: to be downloaded if need be.
        """
        ...

    def answer(self) -> None:
        """Wait for the slot that was asked for first of those not answered yet.

        Raises:
            ValueError: a shard is not what was packed.
            RuntimeError: a worker died, and is named.
        """
        ...

    def drop(self) -> None:
        """Forget what is not answered yet; nobody writes into the ring any more."""
        ...

    def close(self) -> None:
        """End the workers."""
        ...


class Here:
    """This process; a slot is filled when its answer is waited for."""

    def __init__(self, data: Data, layout: Layout) -> None:
        self.data, self.closed = data, False
        self.rings: Rings = {name: np.zeros(shape, dtype) for name, shape, dtype in layout}
        self._due: deque[tuple[int, Ids, Ids]] = deque()

    def ask(self, slot: int, ids: Ids, later: Ids) -> None:
        """See `Fillers`."""
        self._due.append((slot, ids, later))

    def answer(self) -> None:
        """See `Fillers`."""
        slot, ids, later = self._due.popleft()
        fill(self.rings, slot, self.data, ids, later)

    def drop(self) -> None:
        """See `Fillers`."""
        self._due.clear()

    def close(self) -> None:
        """See `Fillers`."""
        self.closed = True


@dataclass(frozen=True)
class _Worker:
    name: str
    process: Any
    pipe: Connection


class Workers:
    """Processes of this machine, which take turns. They end with this object or its process."""

    def __init__(self, data: Data, layout: Layout, workers: int) -> None:
        context = multiprocessing.get_context("spawn")  # never fork: there may be threads
        memory = [
            context.RawArray(c_uint8, int(np.prod(shape)) * np.dtype(dtype).itemsize)
            for _, shape, dtype in layout
        ]
        self.rings = _rings(memory, layout)
        self._due: deque[_Worker] = deque()
        self._turn: deque[_Worker] = deque()
        self._end = weakref.finalize(self, _end, started := [])
        for n in range(workers):
            pipe, theirs = context.Pipe()
            name = f"loader worker {n} of {workers}"
            given = (theirs, data, memory, layout)
            process = context.Process(target=_serve, args=given, name=name, daemon=True)
            process.start()
            theirs.close()  # so that the pipe ends when the worker does
            started.append(_Worker(name, process, pipe))
        self._turn.extend(started)

    @property
    def closed(self) -> bool:
        """See `Fillers`."""
        return not self._end.alive

    def ask(self, slot: int, ids: Ids, later: Ids) -> None:
        """See `Fillers`."""
        message = np.concatenate([[[slot, len(ids)]], ids, later]).tobytes()
        try:
            self._turn.rotate(-1)
            self._due.append(self._turn[-1])
            self._turn[-1].pipe.send_bytes(message)
        except OSError:
            pass  # it died: `answer` says so
        except BaseException:  # Ctrl-C: nobody knows what has been said
            self.close()
            raise

    def answer(self) -> None:
        """See `Fillers`."""
        worker = self._due[0]
        try:
            answer = worker.pipe.recv_bytes()
            self._due.popleft()
        except (EOFError, OSError):
            raise self._died(worker) from None
        except BaseException:
            self.close()
            raise
        if answer:
            kind, text, trace = json.loads(answer)
            error = ValueError(text) if kind == "ValueError" else RuntimeError(f"{kind}: {text}")
            error.add_note(f"In {worker.name}:\n{trace}")
            raise error

    def drop(self) -> None:
        """See `Fillers`."""
        while self._due:
            try:
                self.answer()
            except Exception:  # of a batch that nobody waits for any more
                if self.closed:
                    raise

    def close(self) -> None:
        """See `Fillers`."""
        self._due.clear()
        self._end()

    def _died(self, worker: _Worker) -> RuntimeError:
        worker.process.join(PATIENCE_S)
        code, pid = worker.process.exitcode, worker.process.pid
        self.close()
        how = signal.Signals(-code).name if code and code < 0 else f"exit code {code}"
        return RuntimeError(
            f"{worker.name} (process {pid}) died: {how}. SIGKILL is often too little memory, "
            "SIGBUS a shard that was cut short while it was read, and exit code 1 a script without "
            '`if __name__ == "__main__":`. Begin again at the step that did not come.'
        )


def fill(rings: Rings, slot: int, data: Data, ids: Ids, later: Ids) -> None:
    """Copy the samples `ids` [b, 2] to their places in the slot of each ring; begin to download
    those of `later`.

    Raises:
        ValueError: a shard is not what was packed.
    """
    if len(later):
        for group, each in enumerate(data):
            for rows in (ids, later):
                each.prefetch(rows[rows[:, 0] == group, 1])
    for name, ring in rings.items():
        for place, (group, row) in zip(ring[slot], ids.tolist(), strict=True):
            if group < 0:
                place.fill(0)
            elif name == PICTURES:
                place[...] = data[group].image(row)
            else:
                place[...] = data[group].extra(row, name)


def _rings(memory: Sequence[Any], layout: Layout) -> Rings:
    return {
        name: np.frombuffer(each, dtype).reshape(shape)
        for each, (name, shape, dtype) in zip(memory, layout, strict=True)
    }


def _serve(pipe: Connection, data: Data, memory: Sequence[Any], layout: Layout) -> None:
    """Fill slots until the other end of the pipe is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then ends us
    rings = _rings(memory, layout)
    with suppress(EOFError, OSError):
        while True:
            message = np.frombuffer(pipe.recv_bytes(), np.int64).reshape(-1, 2)
            slot, b = message[0].tolist()
            answer = b""
            try:
                fill(rings, slot, data, message[1 : b + 1], message[b + 1 :])
            except Exception as e:
                kind = "ValueError" if isinstance(e, ValueError) else type(e).__name__
                answer = json.dumps([kind, str(e), traceback.format_exc()]).encode()
            pipe.send_bytes(answer)


def _end(workers: list[_Worker]) -> None:
    for worker in workers:
        worker.pipe.close()
    for worker in workers:
        worker.process.join(PATIENCE_S)
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()
        worker.process.close()
