"""Sweeps as users start them, in processes of their own that tests follow, kill and start again."""

from __future__ import annotations

import contextlib
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from data_sharding.reader import read_index
from data_sharding.schema import Manifest, sha256_file
from tests.training.test_packs import repack
from tuning.store import by_slot, open_study
from tuning.sweep import Sweep

ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}


def unsure(folder: Path, share: float = 0.3) -> Path:
    """The pack with so many labels turned around, so that no model is perfect and scores differ."""
    manifest = Manifest.load(folder)
    index = read_index(folder, manifest)
    turned = np.random.default_rng(5).random(len(index)) < share
    index["label"] = np.where(turned, 1 - index["label"], index["label"])
    index.to_parquet(folder / manifest.index)
    return repack(folder, index_sha256=sha256_file(folder / manifest.index))


class Driver:
    """``python -m tuning`` with these words; `lines` are what it has said so far."""

    def __init__(self, *words: str, module: str = "tuning", **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, *words],
            env=ENVIRONMENT | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.lines: list[str] = []
        self._said: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._said.put(line.rstrip("\n"))
        self._said.put(None)

    def until(self, pattern: str, seconds: float = 120) -> str:
        """Wait for a line that has the pattern; the line."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                line = self._said.get(timeout=max(0, deadline - time.monotonic()))
            except queue.Empty:
                line = None
            if line is None:
                raise AssertionError(f"no line has {pattern!r} in:\n" + "\n".join(self.lines))
            self.lines.append(line)
            if re.search(pattern, line):
                return line

    def rest(self, seconds: float = 240) -> list[str]:
        """All it says until it and all it has started have ended, or closed their mouths."""
        deadline = time.monotonic() + seconds
        while (line := self._said.get(timeout=max(0, deadline - time.monotonic()))) is not None:
            self.lines.append(line)
        return self.lines

    def end(self, seconds: float = 240) -> int:
        """Wait for its end; its exit code."""
        self.rest(seconds)
        return self.process.wait()

    def kill(self, with_children: bool = False) -> None:
        """SIGKILL, to the driver alone or to all it has started, as when a machine is lost."""
        if with_children:
            os.killpg(self.process.pid, signal.SIGKILL)
        else:
            self.process.kill()
        self.process.wait()

    def close(self) -> None:
        """End what is left of it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def __enter__(self) -> Driver:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def told(sweep: Sweep) -> list[dict[str, Any]]:
    """What the study says of each trial, without what clocks and attempts say."""
    found = []
    for slot, trial in sorted(by_slot(open_study(sweep)).items()):
        attrs = {
            k: v for k, v in trial.user_attrs.items() if k not in ("attempt", "reached", "seconds")
        }
        found.append(
            {
                "slot": slot,
                "number": trial.number,
                "state": trial.state.name,
                "values": trial.values,
                "params": trial.params,
                "distributions": trial.distributions,
                "reports": trial.intermediate_values,
                **attrs,
            }
        )
    return found


def begun(said: str) -> list[int]:
    """The trials that a driver said it began, or went on with, in that order."""
    tried = r"  trial (\d+)(?: again.*)?: (?:\w+\.\S+=|nothing left)"
    return [int(n) for n in re.findall(tried, said)]
