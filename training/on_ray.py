"""A run on Ray Train workers: started, watched, asked to stop, and started again.

The driver and its workers speak through one folder of the run, ``ray/<launch>/``, on the storage
they share: ``go`` lies there as long as the workers shall train, ``alive`` says that they do, and
``error`` holds what a user did wrong. A stop therefore reaches workers whose driver is dying, and
workers of a dead driver stop when the next launch clears the folder. Ray's own checkpoints are not
used (see `training.checkpoint`).

Who is lost, and what follows: a worker or its node (a kill, a SIGTERM to the worker itself): Ray
starts all workers again, `compute.max_failures` times. A node that says beforehand that it goes
(drained): a checkpoint, and a new start elsewhere, as often as it happens. The driver or its node:
the same command goes on from the newest checkpoint.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data_sharding.schema import write_atomic
from training.config import Config
from training.interrupt import Interrupted, Stop, listening
from training.tracking import say

#: Seconds between two looks of the driver at its workers' folder and at the cluster's nodes.
LOOK_S, NODES_S = 0.2, 2.0
#: Ray waits so long for workers of one size before it counts again what there is place for.
PLACE_S = 60
#: Ray Train takes seconds to end (its helpers ask the dashboard); workers that have ended need not
#: be waited for any longer than this.
END_S = 5.0
#: Callbacks of Ray Train that start helper actors which nobody needs here.
NEEDLESS = ("DatasetsCallback", "PlacementGroupCleanerCallback")
DONE, INTERRUPTED = "done", "interrupted"


def train(config: Config, folder: Path, stop: Stop) -> None:
    """Do what is left of the run on a Ray cluster: of ``$RAY_ADDRESS``, else one of our own.

    Raises:
        Interrupted: `stop`, and the workers have written a checkpoint.
        ValueError: something the user can put right, or no workers start.
    """
    say(f"starting {_how_many(config)} Ray Train worker(s)")
    with connected(config), listening(stop):  # Ray has taken SIGTERM for itself
        _require_resources(config)
        while _fit(config, folder, stop) != DONE:
            say("a node is about to go: starting again without it")


def _how_many(config: Config) -> str:
    least, most = config.compute.min_workers, config.compute.workers
    return f"{least} to {most}" if least and least < most else str(most)


@contextlib.contextmanager
def connected(config: Config) -> Iterator[None]:
    """Connected to a cluster, or with one of our own that ends with the block."""
    compute = config.compute
    # Two helper actors of 200 MB each that we have no use for, and prints that would come twice.
    os.environ.setdefault("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "0")
    os.environ.setdefault("RAY_TRAIN_METRICS_ENABLED", "0")
    os.environ.setdefault("RAY_TRAIN_ENABLE_PRINT_PATCH", "0")
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "1")
    os.environ.setdefault(
        "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", str(min(PLACE_S, compute.start_timeout_s))
    )
    # Processes started beforehand would lack the environment that Ray Train gives its actors.
    os.environ.setdefault("RAY_prestart_worker_first_driver", "0")
    if not sys.stdout.isatty():
        os.environ.setdefault("RAY_COLOR_PREFIX", "0")
    import ray
    import ray.train.torch  # before `ray.init`: torch, loaded into a driver of a job, crashed

    if ray.is_initialized():
        yield
        return
    code = str(Path(__file__).resolve().parents[1])
    env = {"PYTHONPATH": os.pathsep.join(p for p in (code, os.environ.get("PYTHONPATH")) if p)}
    # A Ray of our own unless told of one (a job is): left to itself, Ray looks for the last one
    # started here, and waits minutes for it if it was killed. Its dashboard would be ten processes
    # that nobody looks at.
    ray.init(
        address=os.environ.get("RAY_ADDRESS", "local"),
        include_dashboard=None if "RAY_ADDRESS" in os.environ else False,
        runtime_env={"env_vars": env},
        log_to_driver=True,
        logging_level=logging.WARNING,
    )
    _hide_token()
    try:
        yield
    finally:
        ray.shutdown()


def _fit(config: Config, folder: Path, stop: Stop) -> str:
    """One launch, to its end, or until its workers have to leave a node."""
    shutil.rmtree(folder / "ray", ignore_errors=True)  # workers that still live there stop
    # A name of its own each time: a torn snapshot of a killed launch would stop this one.
    place = folder / "ray" / f"launch-{time.time_ns()}"
    place.mkdir(parents=True)
    (place / "go").touch()
    ended: dict[str, BaseException] = {"error": RuntimeError("the workers ended without a word")}
    trainer = _trainer(config, folder, place)

    def fit() -> None:
        try:
            trainer.fit()
        except BaseException as e:  # it is raised again where it is waited for
            ended["error"] = e

    # Not in this thread: there Ray would take Ctrl-C for itself, and end the run without a
    # checkpoint.
    fitting = threading.Thread(target=fit, name="fit", daemon=True)
    fitting.start()
    try:
        moved = _watch(config, place, stop, fitting)
        said = _read(place / "ended")
        if not said:
            raise ended["error"]
        if said == DONE:
            return DONE
        if moved and not stop():
            return INTERRUPTED
        raise Interrupted("stopped, a checkpoint is written")
    finally:
        shutil.rmtree(folder / "ray", ignore_errors=True)


def _trainer(config: Config, folder: Path, place: Path) -> Any:
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    class Trainer(TorchTrainer):
        """Without two helper actors that import Ray Data and pandas each.

        There are no datasets of Ray's, and the placement group goes when the driver does; the
        helper that would remove it before that asks the dashboard every second.
        """

        def _create_default_callbacks(self) -> list[Any]:
            return [
                callback
                for callback in super()._create_default_callbacks()
                if type(callback).__name__ not in NEEDLESS
            ]

    compute = config.compute
    least = compute.min_workers or compute.workers
    return Trainer(
        _worker,
        train_loop_config={
            "config": config.model_dump(mode="json"),
            "folder": str(folder),
            "place": str(place),
            "asked": time.time(),
        },
        torch_config=TorchConfig(
            backend="nccl" if compute.use_gpu else "gloo", timeout_s=compute.collective_timeout_s
        ),
        scaling_config=ScalingConfig(
            num_workers=(least, compute.workers) if least < compute.workers else compute.workers,
            elastic_resize_monitor_interval_s=compute.resize_s,
            use_gpu=compute.use_gpu,
            resources_per_worker=_per_worker(config),
        ),
        run_config=RunConfig(
            name=place.name,
            storage_path=str(place.parent),
            # A size that finds no place is a failure too, of which an elastic run has one for each
            # node it loses. How long workers may be missing is for `_watch` to say.
            failure_config=FailureConfig(
                max_failures=compute.max_failures,
                controller_failure_limit=compute.max_failures
                + 2
                + compute.start_timeout_s // PLACE_S,
            ),
        ),
    )


def _watch(config: Config, place: Path, stop: Stop, fitting: threading.Thread) -> bool:
    """Until the launch has ended. True if its workers were asked to leave a node.

    Raises:
        ValueError: no worker has been at work for ``compute.start_timeout_s``, or one has found
            something that the user can put right.
        Interrupted: `stop`, while no worker was at work.
    """
    limit_s = config.compute.start_timeout_s
    moved, going, beat, nodes = False, True, "", set()
    seen = looked = time.monotonic()
    while fitting.is_alive():
        fitting.join(LOOK_S)
        if _read(place / "ended"):
            fitting.join(END_S)
            return moved
        now = time.monotonic()
        if (text := _read(place / "alive")) and text != beat:
            beat, seen, nodes = text, now, set(json.loads(text)["nodes"])
        if going and now - looked > NODES_S:
            looked, moved = now, bool(nodes & _leaving())
        if going and (moved or stop()):
            going = False
            say("asked to stop: the workers write a checkpoint")
            (place / "go").unlink(missing_ok=True)
        if stop() and (not beat or now - seen > 20):
            raise Interrupted("stopped before the workers were at work")
        if error := _read(place / "error"):  # Ray would try again, with the same end
            raise ValueError(error)
        if now - seen > limit_s:
            raise ValueError(
                f"no worker has been at work for {limit_s} s (compute.start_timeout_s): look at "
                "`ray status` for missing nodes; the same command goes on from the last checkpoint"
            )
    return moved


def _read(path: Path) -> str:
    """A small file that others write; opened each time, which makes NFS look anew."""
    try:
        return path.read_text()
    except OSError:  # not there, or not just now
        return ""


def lies(path: Path) -> bool:
    """Is it there? Opened, as in `_read`."""
    try:
        path.open().close()
    except FileNotFoundError:
        return False
    except OSError:  # storage that hiccups has not said that it is gone
        return True
    return True


def _leaving() -> set[str]:
    """The ids of nodes that are about to go (drained, preempted), but for the driver's own."""
    import ray
    from ray._private.state import state  # what Ray Train's own, per-launch watcher asks

    try:
        return set(state.get_draining_nodes()) - {ray.get_runtime_context().get_node_id()}
    except Exception:  # no interface that Ray promises, and no reason to end a run
        return set()


def _hide_token() -> None:
    """Ray writes the token that opens its cluster readable to all users of the machine."""
    token = Path.home() / ".ray" / "auth_token"
    if token.is_file() and token.stat().st_uid == os.getuid():
        token.chmod(0o600)


def _per_worker(config: Config) -> dict[str, Any]:
    compute = config.compute
    return {"CPU": compute.cpus_per_worker} | ({"GPU": 1} if compute.use_gpu else {})


def _require_resources(config: Config) -> None:
    """Ray waits for resources that no node has; say so at once instead."""
    import ray

    each = _per_worker(config)
    nodes = [n["Resources"] for n in ray.nodes() if n["Alive"]]
    places = sum(min(int(n.get(k, 0) // v) for k, v in each.items()) for n in nodes)
    least = config.compute.min_workers or config.compute.workers
    if places < least:
        raise ValueError(
            f"the cluster has place for {places} worker(s) of {each}, the run needs {least}: "
            "add nodes, or set compute.workers, compute.cpus_per_worker, compute.use_gpu"
        )


def _worker(arguments: dict[str, Any]) -> None:
    """What each Ray Train worker runs: join the process group, do the stages."""
    import ray
    import torch.distributed as dist

    from training import watchdog
    from training.stages import run
    from training.world import joined

    config, folder = Config.model_validate(arguments["config"]), Path(arguments["folder"])
    place, compute = Path(arguments["place"]), config.compute
    try:
        world = joined(compute.use_gpu, compute.collective_timeout_s)
        nodes = [ray.get_runtime_context().get_node_id()] * world.size
        if world.size > 1:
            dist.all_gather_object(nodes, nodes[0], group=world.control)
        report = _Report(place, world.main, sorted(set(nodes)), arguments["asked"])
        report.beat()
        with watchdog.watching(compute.stall_s, f"rank {world.rank} of {world.size}", report.beat):
            run(config, folder, world, watchdog.feeding(report.stop))
        report.end(DONE)
    except Interrupted:
        report.end(INTERRUPTED)
    except ValueError as e:
        # Torch raises one too, where the process group is gone: the workers are being replaced.
        if dist.is_initialized() and place.is_dir():
            write_atomic(place / "error", str(e))
        raise


@dataclass
class _Report:
    """What rank 0 tells the driver, and is told."""

    place: Path
    main: bool
    nodes: list[str]
    asked: float
    at_work: bool = field(init=False)

    def __post_init__(self) -> None:
        self.at_work = (self.place / "alive").exists()  # not the launch's first workers

    def beat(self) -> None:
        """Workers are at work, and where."""
        if self.main and self.place.is_dir():
            text = json.dumps({"nodes": self.nodes, "at": time.time()})
            with contextlib.suppress(OSError):  # the next one may succeed
                write_atomic(self.place / "alive", text)

    def stop(self) -> bool:
        """Shall the workers stop? Asked after the first step, and then about once a second."""
        if self.main and not self.at_work:
            self.at_work = True
            say(f"at work {time.time() - self.asked:.1f} s after Ray Train was asked")
        return self.main and not lies(self.place / "go")

    def end(self, how: str) -> None:
        """The workers have ended."""
        if self.main and self.place.is_dir():
            write_atomic(self.place / "ended", how)
