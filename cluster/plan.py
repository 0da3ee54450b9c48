"""What a run will read and ask for, from the words that would start it; `training` is asked.

`cluster` imports nothing of ours, so the settings come from ``python -m training WORDS --show``,
which also refuses a misspelt one before a cluster is bothered with it.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml


@dataclass(frozen=True)
class Plan:
    """The part of a run's settings that a machine can fail.

    Attributes:
        places: datasets it reads, folders or URLs.
        runs: where it writes.
        workers: how many must start; with elastic workers, the fewest.
        cpus: of all these workers.
        gpus: of all these workers.
        on_ray: they are Ray's workers.
        wandb: offline, online or disabled.
        compiler: torch.compile or DeepSpeed's offload build code while they run.
    """

    places: tuple[str, ...]
    runs: Path
    workers: int = 2
    cpus: int = 2
    gpus: int = 0
    on_ray: bool = True
    wandb: str = "offline"
    compiler: bool = False


def at_home(home: Path) -> Plan:
    """What lies in OSTEORAY_HOME, for the smoke recipe's two workers."""
    found = sorted(p.parent for p in home.glob("shards/*/manifest.json"))
    return Plan(tuple(str(p) for p in found), home / "runs")


def resolved(words: Sequence[str]) -> str:
    """The settings of ``python -m training WORDS`` as YAML, from training itself.

    Raises:
        ValueError: no such recipe or setting, in training's own words.
        RuntimeError: training cannot run here, as where its libraries are missing.
    """
    line = [sys.executable, "-m", "training", *words, "--show"]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if done.returncode == 2:
        raise ValueError(done.stderr.strip().removeprefix("error: "))
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise RuntimeError(f"python -m training cannot run here: {last}")
    return done.stdout


def plan_of(settings: str) -> Plan:
    """The `Plan` in the resolved settings of a run.

    Raises:
        ValueError: they are not what ``--show`` prints.
    """
    try:
        found: dict[str, Any] = yaml.safe_load(settings)
        paths, compute = found["paths"], found["compute"]
        places = [paths["internal"], paths["public"], *paths["external"]]
        on_ray = compute["launcher"] == "ray"
        workers = int(compute.get("min_workers") or compute["workers"]) if on_ray else 1
        return Plan(
            places=tuple(str(p) for p in places if p is not None),
            runs=Path(paths["runs"]),
            workers=workers,
            cpus=workers * int(compute["cpus_per_worker"]) if on_ray else 1,
            gpus=workers if compute["use_gpu"] else 0,
            on_ray=on_ray,
            wandb=str(found["track"]["wandb"]),
            compiler=bool(compute.get("compile") or compute.get("offload")),
        )
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as e:
        raise ValueError(f"python -m training --show printed no settings: {e!r}") from e
