"""Where a run runs: on Ray Train workers, under torchrun, or in this process.

The function that trains is `training.stages.run` in all three. A run's folder is on storage that
all workers see; checkpoints and stage folders in it are what a later launch resumes from, so a run
may resume under another launcher and in a world of another size.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from data_sharding.private import only_one
from training import watchdog
from training.config import Config
from training.folder import complete, prepare
from training.interrupt import Stop, listening

if TYPE_CHECKING:
    from training.world import World

__all__ = ["complete", "join", "launch", "prepare", "under_torchrun"]


def launch(config: Config, folder: Path) -> None:
    """Do what is left of the run in this process, or on Ray: as `config.compute` says.

    Raises:
        Interrupted: asked to stop, a checkpoint is written; the same call later goes on.
        ValueError: another process is at it, or something the user can put right.
    """
    with only_one(folder), listening() as stop:
        if config.compute.launcher == "ray":
            from training.on_ray import train

            train(config, folder, stop)
        else:
            from training.world import alone

            _run(config, folder, alone(config.compute.use_gpu), stop)


def under_torchrun() -> bool:
    """True in a process started by torchrun (or anything that sets its variables)."""
    return "WORLD_SIZE" in os.environ and "RANK" in os.environ


def join(config: Config, fresh: bool) -> Path:
    """As one of torchrun's processes: rank 0 prepares, then all do what is left of the run.

    Raises:
        Interrupted: some rank was asked to stop, a checkpoint is written.
    """
    from training.world import join_torchrun

    with listening() as stop:
        world = join_torchrun(config.compute.use_gpu, config.compute.collective_timeout_s)
        folder = world.on_main(lambda: prepare(config, fresh))
        if not world.on_main(lambda: complete(folder)):
            _run(config, folder, world, stop)
    return folder


def _run(config: Config, folder: Path, world: World, stop: Stop) -> None:
    from training.stages import run

    with watchdog.watching(config.compute.stall_s, f"rank {world.rank} of {world.size}"):
        run(config, folder, world, watchdog.feeding(stop))
