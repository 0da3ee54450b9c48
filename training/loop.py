"""The loop. It knows no Ray, no W&B and no DeepSpeed, and runs the same everywhere."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable
from typing import Any, NoReturn

import torch
from torch import nn

from training.average import Average
from training.checkpoint import Checkpoints, Position, load, on_cpu
from training.config import Stage
from training.interrupt import Interrupted
from training.meter import Meter
from training.optim import learning_rate
from training.pace import Pace
from training.strategies import Follows, Strategy, Task
from training.stream import Stream
from training.tracking import Tracker


def fit(
    task: Task,
    model: nn.Module,
    stream: Stream,
    strategy: Strategy,
    tracker: Tracker,
    stage: Stage,
    checkpoints: Checkpoints,
    validate: Callable[[nn.Module], dict[str, Any]],
    seed: int,
    pace: Pace,
) -> tuple[nn.Module, Position]:
    """Train from the newest checkpoint, or from `model` as it is; return what is kept of it.

    That is the weights' moving average (if `stage.ema`), of the last epoch or of the best by
    ``validate(model)[stage.MEASURE]``; `stage.patience` epochs without a better one end the
    training. A checkpoint is written after each epoch and when `pace` asks for one. `model` itself
    belongs to the strategy from here on.

    Raises:
        Interrupted: `pace` was asked to stop; a checkpoint is there.
        ValueError: the loss or the model's answers are not finite any more.
    """
    world = strategy.world
    mean = copy.deepcopy(model)
    newest = world.on_main(checkpoints.newest)  # one rank looks, so that all load the same
    at, saved = load(newest) if newest else (Position(), {})
    if saved:
        model.load_state_dict(saved["model"])
        mean.load_state_dict(saved["ema"])
    best = saved.get("best") or on_cpu(mean.state_dict())
    strategy.prepare(model, stage)
    if saved:
        strategy.load_optimizer(saved.pop("optimizer"))
    average = Average(mean, strategy, stage.ema)
    follows = isinstance(task, Follows)
    if isinstance(task, Follows):
        task.attach(average.module)
    tracker.resume(at.global_step)

    def save() -> None:
        tensors = average.states() | {"best": best, "optimizer": strategy.optimizer_state()}
        if world.main:
            checkpoints.save(at, tensors)
        pace.has_saved()

    def stop() -> NoReturn:
        world.on_main(checkpoints.wait)
        raise Interrupted(f"stopped after {at.global_step} steps, a checkpoint is written")

    while at.epoch < stage.epochs and not _waited(stage, at):
        meter = Meter(at.meter, world)
        for batch in meter.timed(stream.epoch(at.epoch, start=at.step)):
            # Dropout and drop path draw from here: the same after a restart, another on each rank.
            torch.manual_seed(step_seed(seed, at.global_step, world.rank))
            lr = learning_rate(stage, at.global_step, stream.steps_per_epoch)
            if follows:
                average.take_buffers()
            losses, norm = strategy.step(task, batch.to(world.device), lr)
            average.update(at.global_step)
            meter.add(losses, batch, norm)
            at.step, at.global_step = at.step + 1, at.global_step + 1
            tracker.progress(
                *(at.epoch + 1, at.step, stream.steps_per_epoch, meter.real, meter.waited)
            )
            wish = pace(at.global_step)
            # The last step's checkpoint is the one after validation.
            if wish != "go" and at.step < stream.steps_per_epoch:
                at.meter = meter.state()
                save()
                if wish == "stop":
                    stop()

        record = meter.read()
        found = validate(average.settle())
        score = found.get(stage.MEASURE)
        at.epoch, at.step, at.meter = at.epoch + 1, 0, {}
        if stage.select == "last" or score is None or at.best is None or score > at.best:
            at.best, at.best_epoch = score, at.epoch
            best = on_cpu(average.module.state_dict())
        rates = {"train/lr": lr, "train/ema": average.last}
        tracker.log({"step": at.global_step, "epoch": at.epoch} | rates | record | found)
        save()  # after the record: one killed in between is cut off and made again
        if pace(at.global_step) == "stop" and at.epoch < stage.epochs and not _waited(stage, at):
            stop()
    world.on_main(checkpoints.join)
    strategy.close()
    average.module.load_state_dict(best)
    return average.module, at


def _waited(stage: Stage, at: Position) -> bool:
    """Long enough for a better epoch; known of the position alone, so the same after a restart."""
    best, most = at.best_epoch, stage.patience
    return best is not None and most is not None and at.epoch - best >= most


def step_seed(seed: int, global_step: int, rank: int) -> int:
    """63 bits for torch's generator at one step of one rank."""
    digest = hashlib.sha256(f"step/{seed}/{global_step}/{rank}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1
