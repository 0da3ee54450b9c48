"""Folds as Ray tasks, side by side as far as there is place for them.

A fold is one task on one node, which asks for the CPUs and GPUs of all its workers; the driver and
its tasks speak through a folder on the storage they share, as in `training.on_ray`: ``go`` lies
there as long as the folds shall go on, and ``began-<k>`` says that fold k does. A task whose node
is lost is begun again elsewhere, ``compute.max_failures`` times, and goes on from its checkpoint.
With `training.on_ray` the one file of this folder that knows Ray.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from training.config import Config
from training.crossvalidate.work import Job, work
from training.interrupt import EXIT_CODE, Stop, listening
from training.on_ray import connected, lies


class OnRay:
    """The cluster of ``$RAY_ADDRESS``, or one of our own."""

    def __init__(self, config: Config, place: Path) -> None:
        import ray

        each = resources(config)
        _require_place(each)
        self._place = place
        self._call = ray.remote(
            num_cpus=each["CPU"],
            num_gpus=each.get("GPU", 0),
            max_retries=config.compute.max_failures,
        )(_fold)

    def submit(self, job: Job) -> Future[int]:
        """Begin a fold when there is place for it; its exit status."""
        return self._call.remote(job, self._place).future()

    def stop(self) -> None:
        """Ask the folds at work to stop."""
        (self._place / "go").unlink(missing_ok=True)

    def begun(self, job: Job) -> bool:
        """Whether it is, or has been, at work; others need not be waited for."""
        return lies(_began(self._place, job))


@contextmanager
def cluster(config: Config, folder: Path, stop: Stop) -> Iterator[OnRay]:
    """A Ray cluster that folds can be given to, until the end of the block.

    Args:
        config: of any of the folds.
        folder: of the whole, on storage that all nodes see.
        stop: hears signals again, which Ray takes for itself.

    Raises:
        ValueError: no node has place for one fold.
    """
    shutil.rmtree(folder / "ray", ignore_errors=True)  # folds of a lost driver stop
    place = folder / "ray" / f"launch-{time.time_ns()}"
    place.mkdir(parents=True)
    (place / "go").touch()
    try:
        with connected(config), listening(stop):
            yield OnRay(config, place)
    finally:
        shutil.rmtree(folder / "ray", ignore_errors=True)


def resources(config: Config) -> dict[str, int]:
    """What a fold takes of a node."""
    compute = config.compute
    gpus = {"GPU": compute.workers} if compute.use_gpu else {}
    return {"CPU": compute.workers * compute.cpus_per_worker} | gpus


def environment(config: Config) -> dict[str, str]:
    """Threads of each of a fold's workers: Ray would give each all of the fold's CPUs."""
    return {
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", f"{config.compute.cpus_per_worker}")
    }


def _require_place(each: dict[str, int]) -> None:
    """Ray waits for ever for a node that nobody has; say so at once instead."""
    import ray

    nodes = [n["Resources"] for n in ray.nodes() if n["Alive"]]
    if not any(all(n.get(k, 0) >= v for k, v in each.items()) for n in nodes):
        raise ValueError(
            f"a fold needs {_said(each)} of one node, and there are "
            f"{'; '.join(sorted({_said({k: int(n.get(k, 0)) for k in each}) for n in nodes}))}: "
            "set compute.workers, compute.cpus_per_worker or compute.use_gpu, or add a node"
        )


def _said(amounts: dict[str, int]) -> str:
    return " and ".join(f"{n} {name}{'s' * (n != 1)}" for name, n in amounts.items())


def _began(place: Path, job: Job) -> Path:
    return place / f"began-{job.number}"


def _fold(job: Job, place: Path) -> Any:
    """What the task runs."""
    if not lies(place / "go"):
        return EXIT_CODE
    _began(place, job).touch()
    return work(job, lambda: lies(place / "go"))
