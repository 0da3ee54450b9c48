"""Real worker processes for the tests: forked from one server that has torch imported.

Each joins a gloo group as torchrun's processes do, and can be killed like any process.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path

from training.config import Config
from training.interrupt import EXIT_CODE, Interrupted

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    [
        *("training.launch", "training.stages", "training.strategies.zero"),
        "deepspeed.runtime.zero.muon.muon_optimizer",  # it asks for torch's compiler: two seconds
    ]
)


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def work(config: dict, rank: int, size: int, port: int, steps, log: str) -> None:
    """One rank: do what is left of the run; count its steps where the tests can see them."""
    out = Path(log).open("a")  # noqa: SIM115
    os.dup2(out.fileno(), 1)
    os.dup2(out.fileno(), 2)
    sys.stdout = sys.stderr = out
    names = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "MASTER_PORT": port}
    os.environ |= {k: str(v) for k, v in names.items()} | {"MASTER_ADDR": "127.0.0.1"}
    import torch

    from training.average import Average
    from training.launch import join

    torch.set_num_threads(1)
    real = Average.update

    def counted(average: Average, step: int) -> None:
        real(average, step)
        steps.value += 1

    Average.update = counted
    try:
        join(Config.model_validate(config), False)
    except Interrupted:
        sys.exit(EXIT_CODE)


class Workers:
    """`size` ranks at work on a run."""

    def __init__(self, config: Config, size: int, log: Path) -> None:
        port = free_port()
        self.steps = [CONTEXT.Value("q", 0, lock=False) for _ in range(size)]
        self.log = log
        self.ranks: list[BaseProcess] = [
            CONTEXT.Process(
                target=work,
                args=(config.model_dump(mode="json"), r, size, port, self.steps[r], str(log)),
                daemon=True,
            )
            for r in range(size)
        ]
        for rank in self.ranks:
            rank.start()

    def wait(self, timeout: float = 120) -> list[int]:
        """Exit codes, when all have ended."""
        deadline = time.monotonic() + timeout
        for rank in self.ranks:
            rank.join(max(0, deadline - time.monotonic()))
            assert rank.exitcode is not None, f"still at work: {self.log.read_text()[-2000:]}"
        return [int(r.exitcode or 0) for r in self.ranks]

    def until(self, steps: int, rank: int, timeout: float = 120) -> bool:
        """Wait until `rank` has made so many steps; False if it ended before."""
        deadline = time.monotonic() + timeout
        while self.steps[rank].value < steps:
            if self.ranks[rank].exitcode is not None:
                return False
            assert time.monotonic() < deadline, self.log.read_text()[-2000:]
            time.sleep(0.0005)
        return True

    def signal(self, rank: int, number: int = signal.SIGKILL) -> None:
        pid = self.ranks[rank].pid
        assert pid is not None
        os.kill(pid, number)

    def end(self) -> None:
        for rank in self.ranks:
            rank.kill()
            rank.join()


@contextmanager
def at_work(config: Config, size: int, log: Path) -> Iterator[Workers]:
    workers = Workers(config, size, log)
    try:
        yield workers
    finally:
        workers.end()


def finish(config: Config, size: int, log: Path) -> None:
    """Work until nothing is left."""
    with at_work(config, size, log) as workers:
        codes = workers.wait()
        assert codes == [0] * size, log.read_text()[-3000:]
