"""Where a run runs: on Ray Train workers, under torchrun, or in this process.

The function that trains is `training.stages.run` in all three. A run's folder is on storage that
all workers see; checkpoints and stage folders in it are what a later launch resumes from, so a run
may resume under another launcher and in a world of another size.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from data_sharding.private import only_one
from training import watchdog
from training.config import Config
from training.folder import complete, held, prepare
from training.interrupt import Stop, listening

if TYPE_CHECKING:
    from training.world import World

__all__ = ["Told", "complete", "join", "launch", "prepare", "start", "under_torchrun"]


class Told(ValueError):
    """An error that every rank has, and rank 0 says."""


def start(config: Config, fresh: bool = False) -> tuple[Path, bool]:
    """Prepare a run and do what is left of it; its folder, and whether nothing was left.

    The folder is ours from before the first word is written into it. Raises as `launch`.
    """
    with held(config, fresh) as folder:
        done = complete(folder)
        if not done:
            _here(config, folder)
    return folder, done


def launch(config: Config, folder: Path) -> None:
    """Do what is left of a prepared run in this process, or on Ray: as `config.compute` says.

    Raises:
        Interrupted: asked to stop, a checkpoint is written; the same call later goes on.
        ValueError: another process is at it, or something the user can put right.
    """
    with only_one(folder):
        _here(config, folder)


def _here(config: Config, folder: Path) -> None:
    with listening() as stop:
        if config.compute.launcher == "ray":
            from training.on_ray import train

            train(config, folder, stop)
        else:
            from training.world import alone

            _run(config, folder, alone(config.compute.use_gpu), stop)


def under_torchrun() -> bool:
    """True in a process started by torchrun (or anything that sets its variables)."""
    return "WORLD_SIZE" in os.environ and "RANK" in os.environ


def join(config: Config, fresh: bool) -> tuple[Path, bool]:
    """As one of torchrun's processes: rank 0 prepares, then all do what is left of the run.

    Rank 0 holds the folder. Workers that torchrun started again go on, whatever `fresh` says.

    Returns:
        The folder, and whether nothing was left.

    Raises:
        Interrupted: some rank was asked to stop, a checkpoint is written.
        Told: on the other ranks, what kept rank 0 from preparing (ValueError there).
    """
    from training.world import in_torchrun

    compute = config.compute
    fresh = fresh and os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") == "0"
    with (
        listening() as stop,
        in_torchrun(compute.use_gpu, compute.collective_timeout_s) as world,
        ExitStack() as holding,
    ):

        def hold() -> tuple[Path, bool]:
            try:
                folder = holding.enter_context(held(config, fresh))
            except OSError as e:  # others would hear of it as our fault
                raise ValueError(str(e)) from e
            return folder, complete(folder)

        try:
            folder, done = world.on_main(hold)
        except ValueError as e:
            if world.main:
                raise
            raise Told(str(e)) from e
        if not done:
            _run(config, folder, world, stop)
    return folder, done


def _run(config: Config, folder: Path, world: World, stop: Stop) -> None:
    from training.stages import run

    with watchdog.watching(config.compute.stall_s, f"rank {world.rank} of {world.size}"):
        run(config, folder, world, watchdog.feeding(stop))
