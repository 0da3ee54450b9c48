from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    """All legs of `worker`, run by two processes; what they said is beside what they saved."""
    if find_spec("deepspeed") is None:
        pytest.skip("DeepSpeed is not installed")
    folder = tmp_path_factory.mktemp("legs")
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.training.strategies.worker", str(rank), str(folder)],
            cwd=ROOT,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stdout=(folder / f"out {rank}").open("w"),
            stderr=(folder / f"err {rank}").open("w"),
        )
        for rank in range(2)
    ]
    try:
        codes = [p.wait(timeout=240) for p in processes]
    finally:
        for p in processes:
            p.kill()
    assert codes == [0, 0], "\n".join((folder / f"err {r}").read_text()[-3000:] for r in range(2))
    return folder


@pytest.fixture(scope="session")
def leg(folder) -> Callable[[str], dict]:
    """What a leg has saved."""
    return lambda name: torch.load(folder / f"{name}.pt")
