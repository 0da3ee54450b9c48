"""What stands in for training where a test is about the sweep around it: a child process that
leaves a run's files, with scores in a closed form of the learning rate, in milliseconds.

How trial k fares is decided by k, which is how many runs lie in the sweep's folder.
"""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import numpy as np
import pandas as pd

from training.config import Config
from training.folder import note, read_facts
from training.interrupt import Interrupted, listening

ROWS = 60


def number(folder: Path) -> int:
    """Which trial of its sweep this is, from 0; the last one that was begun."""
    runs = [p.parent for p in folder.parent.glob("*/run.json")]
    return len([run for run in runs if not run.is_symlink()]) - 1


def logits(config: Config) -> np.ndarray:
    """Better the nearer the student's learning rate is to .01; always the same noise."""
    noise = np.random.default_rng(0).normal(size=ROWS)
    effect = 2.5 - abs(np.log10(config.student.lr / 0.01))
    return noise + effect * (np.arange(ROWS) % 2)


def score(config: Config) -> float:
    """The share of pairs in the right order."""
    z = logits(config)
    return float((z[1::2, None] > z[None, ::2]).mean())


def train(config: Config, folder: Path) -> None:
    """A run to its end: one epoch of a teacher, two of a student."""
    with (folder.parent / "begun.txt").open("a") as f:
        f.write(f"{folder.name}\n")
    for stage, epochs in (("teacher", 1), ("student", 2)):
        (folder / stage / "weights").mkdir(parents=True, exist_ok=True)
        records = [
            {"step": 3 * n, "epoch": n, "tune/auroc": score(config)} for n in range(1, epochs + 1)
        ]
        text = "".join(json.dumps(record) + "\n" for record in records)
        (folder / stage / "metrics.jsonl").write_text(text)
    facts = read_facts(folder)
    place = folder / "cohorts" / facts["cohorts"][0]
    place.mkdir(parents=True, exist_ok=True)
    frame = pd.DataFrame({"label": np.arange(ROWS) % 2, "logit": logits(config)})
    frame["patient"] = [f"p{n}" for n in range(ROWS)]
    frame["model"] = "student"
    frame.to_parquet(place / "predictions.parquet")
    note(folder, complete=True, timings={"student": 0.1})


def unlucky(config: Config, folder: Path) -> None:
    """Five trials that end in five ways, and then good ones."""
    match number(folder):
        case 1:
            raise RuntimeError("CUDA out of memory:\n tried to allocate 4 GiB")
        case 2:
            os.kill(os.getpid(), signal.SIGKILL)
        case 3:
            raise ValueError("the loss is not finite any more: lower the learning rate")
        case 4:
            os._exit(70)
        case 5:
            train(config, folder)
            path = next(folder.glob("cohorts/*/predictions.parquet"))
            frame = pd.read_parquet(path)
            frame["logit"] = np.nan
            frame.to_parquet(path)
        case _:
            train(config, folder)


def fails(*_: object) -> None:
    """An installation that lacks something."""
    raise ImportError("no such library")


def full(config: Config, folder: Path) -> None:
    """A disk without room."""
    raise OSError(28, "No space left on device")


def slow(config: Config, folder: Path) -> None:
    """Begin, and go on until asked to stop; the second time to the end."""
    if (folder / "teacher").exists():
        train(config, folder)
        return
    (folder / "teacher").mkdir()
    with listening() as stop:
        (folder.parent / "ready").touch()
        while not stop():
            time.sleep(0.01)
    raise Interrupted("asked to stop")


def hangs(*_: object) -> None:
    """A server that never answers."""
    time.sleep(600)
