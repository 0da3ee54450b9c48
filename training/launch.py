"""Where a run runs: on Ray Train workers, under torchrun, or in this process.

Only here is Ray known. The function that trains is `training.stages.run` in all three. A run's
folder is on storage that all workers see; checkpoints and stage folders in it are what a later
launch resumes from, so Ray's own checkpoints are not used and a run may resume under another
launcher or world size.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from data_sharding.private import only_one
from data_sharding.schema import write_atomic
from training.config import Config
from training.packs import open_packs
from training.tracking import say

LIBRARIES = ("torch", "timm", "ray", "numpy", "webdataset", "pydicom", "opencv-python-headless")


def prepare(config: Config, fresh: bool = False) -> Path:
    """The run's folder, made or found; its name carries the hash of settings and manifests.

    Raises:
        ValueError: the datasets do not fit together, or one leaks into another (`open_packs`).
    """
    packs = open_packs(config)
    identity = config.identity({name: p.manifest.hash for name, p in packs.items()})
    folder = config.paths.runs / f"{config.recipe.replace(':', '-')}-{identity[:10]}"
    if fresh and folder.exists():
        with only_one(folder):
            shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    _point_latest_at(folder)
    path = folder / "run.json"
    before = json.loads(path.read_text()) if path.exists() else {}
    write_atomic(folder / "config.yaml", config.to_yaml())
    facts = {
        "run_id": folder.name,
        "recipe": config.recipe,
        "identity": identity,
        "manifests": {
            name: {
                "path": str(p.path),
                "hash": p.manifest.hash,
                "role": p.manifest.role,
                "shards": len(p.manifest.shards),
                "samples": len(p.index),
            }
            for name, p in packs.items()
        },
        "versions": {"python": sys.version.split()[0]} | {p: version(p) for p in LIBRARIES},
    }
    # A dataset may have moved since; what it was trained with has not changed.
    facts |= before | {"manifests": facts["manifests"]}
    write_atomic(path, json.dumps(facts, indent=1) + "\n")
    return folder


def _point_latest_at(folder: Path) -> None:
    """``runs/latest`` is a link to the run that was last asked for."""
    link = folder.with_name(f".latest.{os.getpid()}")
    link.symlink_to(folder.name)
    link.replace(folder.with_name("latest"))


def complete(folder: Path) -> bool:
    """True when every stage of the run is done."""
    facts = json.loads((folder / "run.json").read_text())
    return bool(facts.get("complete")) and (folder / "student" / "weights").is_dir()


def launch(config: Config, folder: Path) -> None:
    """Do what is left of the run in this process, or on Ray: as `config.compute` says.

    Raises:
        ValueError: another process is at it, or something the user can put right.
    """
    with only_one(folder):
        if config.compute.launcher == "ray":
            _on_ray(config, folder)
        else:
            from training.stages import run
            from training.world import alone

            run(config, folder, alone(config.compute.use_gpu))


def under_torchrun() -> bool:
    """True in a process started by torchrun (or anything that sets its variables)."""
    return "WORLD_SIZE" in os.environ and "RANK" in os.environ


def join(config: Config, fresh: bool) -> Path:
    """As one of torchrun's processes: rank 0 prepares, then all do what is left of the run."""
    from training.stages import run
    from training.world import join_torchrun

    world = join_torchrun(config.compute.use_gpu)
    folder = world.on_main(lambda: prepare(config, fresh))
    if not world.on_main(lambda: complete(folder)):
        run(config, folder, world)
    return folder


def _on_ray(config: Config, folder: Path) -> None:
    compute = config.compute
    # Two helper actors of 200 MB each that we have no use for, and prints that would come twice.
    os.environ.setdefault("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "0")
    os.environ.setdefault("RAY_TRAIN_METRICS_ENABLED", "0")
    os.environ.setdefault("RAY_TRAIN_ENABLE_PRINT_PATCH", "0")
    os.environ.setdefault("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", str(compute.start_timeout_s))
    if not sys.stdout.isatty():
        os.environ.setdefault("RAY_COLOR_PREFIX", "0")
    import ray
    from ray.train import FailureConfig, RunConfig, ScalingConfig, TrainingFailedError
    from ray.train.torch import TorchConfig, TorchTrainer

    say(f"starting {compute.workers} Ray Train worker(s)")
    code = str(Path(__file__).resolve().parents[1])
    env = {"PYTHONPATH": os.pathsep.join(p for p in (code, os.environ.get("PYTHONPATH")) if p)}
    started_here = not ray.is_initialized()
    if started_here:
        # A Ray of our own unless told of one (a job is): left to itself, Ray looks for the last one
        # started here, and waits minutes for it if it was killed. With the dashboard, always: Ray
        # Train asks its State API to clean up after itself.
        ray.init(
            address=os.environ.get("RAY_ADDRESS", "local"),
            runtime_env={"env_vars": env},
            log_to_driver=True,
            logging_level=logging.WARNING,
        )
        _hide_token()
    _require_resources(config)
    trainer = TorchTrainer(
        _worker,
        train_loop_config={"config": config.model_dump(mode="json"), "folder": str(folder)},
        torch_config=TorchConfig(backend="nccl" if compute.use_gpu else "gloo"),
        scaling_config=ScalingConfig(
            num_workers=compute.workers,
            use_gpu=compute.use_gpu,
            resources_per_worker={"CPU": compute.cpus_per_worker}
            | ({"GPU": 1} if compute.use_gpu else {}),
        ),
        run_config=RunConfig(
            # A name of its own each time: a torn snapshot of a killed launch would stop this one.
            name=f"launch-{time.time_ns()}",
            storage_path=str(folder / "ray"),
            # Without the second limit Ray would try for ever to start workers that find no place.
            failure_config=FailureConfig(
                max_failures=compute.max_failures, controller_failure_limit=2
            ),
        ),
    )
    try:
        trainer.fit()
    except TrainingFailedError as e:
        causes = re.findall(r"^ValueError: (.*)$", str(e), re.M)
        if causes:  # a user's error in the workers is a user's error
            raise ValueError(causes[-1]) from e
        raise
    finally:
        shutil.rmtree(folder / "ray", ignore_errors=True)
        if started_here:
            ray.shutdown()


def _hide_token() -> None:
    """Ray writes the token that opens its cluster readable to all users of the machine."""
    token = Path.home() / ".ray" / "auth_token"
    if token.is_file() and token.stat().st_uid == os.getuid():
        token.chmod(0o600)


def _require_resources(config: Config) -> None:
    """Ray waits for ever for resources that no node has; say so at once instead."""
    import ray

    need = {"CPU": config.compute.workers * config.compute.cpus_per_worker}
    if config.compute.use_gpu:
        need["GPU"] = config.compute.workers
    have = ray.cluster_resources()
    for name, amount in need.items():
        if have.get(name, 0) < amount:
            raise ValueError(
                f"the cluster has {have.get(name, 0):g} {name}, the run needs {amount}: "
                "add nodes, or set compute.workers, compute.cpus_per_worker, compute.use_gpu"
            )


def _worker(arguments: dict[str, Any]) -> None:
    """What each Ray Train worker runs: join the process group, do the stages."""
    from training.stages import run
    from training.world import joined

    config = Config.model_validate(arguments["config"])
    run(config, Path(arguments["folder"]), joined(config.compute.use_gpu))
