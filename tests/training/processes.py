"""What tests that start, stop and kill whole processes share."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from data_sharding.schema import sha256_file
from tests.training.conftest import as_overrides
from training.config import Config

#: Two processes at a time on a small machine: one thread each.
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}
WEIGHTS = ("teacher/weights/model.safetensors", "student/weights/model.safetensors")


def wait_for(what: Callable[[], object], seconds: float) -> None:
    """Look until it is true."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def command(config: Config, *before: str) -> list[str]:
    """``python -m training`` with these settings."""
    return [sys.executable, *before, "-m", "training", config.recipe, *as_overrides(config)]


def torchrun(ranks: int) -> tuple[str, ...]:
    """What stands before ``-m training``."""
    return ("-m", "torch.distributed.run", f"--nproc-per-node={ranks}", "--standalone")


def start(config: Config, *before: str) -> subprocess.Popen[bytes]:
    """`command`, begun; what it says on either stream is in stdout."""
    return subprocess.Popen(
        command(config, *before),
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def finish(process: subprocess.Popen[bytes], seconds: float = 120) -> str:
    """Wait for the end; what was said."""
    try:
        return process.communicate(timeout=seconds)[0].decode()
    finally:
        process.kill()


def epochs_of(folder: Path) -> int:
    """Epochs that the teacher's records hold."""
    path = folder / "teacher" / "metrics.jsonl"
    return len(path.read_text().splitlines()) if path.exists() else 0


def checkpoints_of(folder: Path) -> list[Path]:
    """The teacher's, oldest first."""
    return sorted((folder / "teacher" / "checkpoints").glob("step-*"))


def contents(folder: Path) -> dict[str, str]:
    """Name -> SHA-256 of all that a run or its folds made, but for settings: these say where."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if not name.startswith(("logs/", "folds/", ".lock", "config")) and path.is_file():
            found[name] = sha256_file(path)
    return found


def children(pid: int) -> list[int]:
    """The processes that a process has started, oldest first."""
    return [int(x) for x in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def ended(pid: int) -> bool:
    """Is a process of nobody's over? Where nothing collects orphans it stays as a zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state in "ZX"


def free_port() -> int:
    """One outside of Ray's worker ports (10002 to 19999)."""
    for _ in range(100):
        port = random.randrange(20000, 30000)
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)):
                return port
    raise RuntimeError("no free port")
