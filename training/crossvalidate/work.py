"""One fold at work: its run as a process of its own, on whatever machine this is called.

The process writes to a log file, not to us: a log outlives us, and a process whose pipe is gone
does not.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from data_sharding.private import only_one

#: Seconds between two looks at the process and at whether it shall go on.
LOOK_S = 0.2
#: A fold whose driver was killed writes a checkpoint first; so long is it waited for.
LEAVES_S = 120
BOUND = Path(__file__).with_name("bound.py")
CODE = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Job:
    """What a machine needs to know to do a fold.

    `words` follow ``python -m training``; with several `workers` it is torchrun that starts them.
    """

    number: int
    words: tuple[str, ...]
    folder: Path
    log: Path
    workers: int = 1
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def command(self) -> list[str]:
        """The process to start."""
        start = [sys.executable]
        if self.workers > 1:
            start += ["-m", "torch.distributed.run", "--standalone"]
            start += [f"--nproc-per-node={self.workers}"]
        return [*start, "-m", "training", *self.words]


def work(job: Job, going: Callable[[], bool]) -> int:
    """Do what is left of a fold; the exit status of its process.

    Args:
        job: the fold.
        going: false once it shall stop: it is asked to, and waited for.
    """
    path = os.pathsep.join(p for p in (str(CODE), os.environ.get("PYTHONPATH")) if p)
    env = os.environ | {"PYTHONPATH": path} | dict(job.environment)
    with job.log.open("ab") as log:
        _wait_for_others(job.folder, going)
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(BOUND), str(os.getpid()), *job.command],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a Ctrl-C in the terminal is for us to hand on, once
        )
        asked = False
        try:
            while (status := _ended(process)) is None:
                if not asked and not going():
                    asked = True
                    process.terminate()
            return status
        finally:
            if process.poll() is None:  # nobody waits any longer: it writes a checkpoint and ends
                process.terminate()


def _ended(process: subprocess.Popen[bytes]) -> int | None:
    try:
        return process.wait(LOOK_S)
    except subprocess.TimeoutExpired:
        return None


def _wait_for_others(folder: Path, going: Callable[[], bool]) -> None:
    """Until nobody holds the run; in vain, and the process will say so."""
    deadline = time.monotonic() + LEAVES_S
    while folder.is_dir() and going() and time.monotonic() < deadline:
        try:
            with only_one(folder):
                return
        except ValueError:
            time.sleep(LOOK_S)
