"""The loop. It knows no Ray, no W&B and no DeepSpeed, and runs the same everywhere."""

from __future__ import annotations

import copy
import hashlib
import time
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import nn

from training.checkpoint import Checkpoints, Position, restore
from training.config import Stage
from training.meter import Meter
from training.optim import adamw, ema_update, learning_rate
from training.strategy import Strategy
from training.stream import Batch, Stream
from training.tracking import Tracker


class Task(Protocol):
    """What is learnt."""

    def loss(self, model: nn.Module, batch: Batch) -> dict[str, torch.Tensor]:
        """Sums over this rank's real samples, by name; `loss` is differentiated."""
        ...


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
    every_s: float = 120.0,
    clock_steps: int = 20,
) -> Position:
    """Train `model` in place, from the newest checkpoint if there is one; return where it stands.

    At the end `model` holds the weights' moving average (if `stage.ema`), of the last epoch or of
    the best by ``validate(model)['tune/auroc']``. A checkpoint is written after each epoch, and
    within one when `every_s` seconds have passed; the clock is read every `clock_steps` steps.

    Raises:
        ValueError: the loss or the model's answers are not finite any more.
    """
    world = strategy.world
    optimizer = adamw(model, stage)
    average, best = copy.deepcopy(model).eval(), copy.deepcopy(model).eval()
    newest = world.on_main(checkpoints.newest)  # one rank looks, so that all load the same
    at = restore(newest, model, average, best, optimizer) if newest else Position()
    tracker.resume(at.global_step)
    wrapped = strategy.prepare(model)
    saved = time.monotonic()

    def due() -> bool:
        return time.monotonic() - saved > every_s

    def save() -> None:
        checkpoints.save(at, model, average, best, optimizer)

    while at.epoch < stage.epochs:
        wrapped.train()
        meter = Meter(at.meter, world)
        for batch in stream.epoch(at.epoch, start=at.step):
            # Dropout and drop path draw from here: the same after a restart, another on each rank.
            torch.manual_seed(step_seed(seed, at.global_step, world.rank))
            lr = learning_rate(stage, at.global_step, stream.steps_per_epoch)
            for group in optimizer.param_groups:
                group["lr"] = lr
            losses = task.loss(wrapped, batch.to(world.device))
            optimizer.zero_grad(set_to_none=True)
            strategy.scale(losses["loss"], batch.global_real).backward()
            norm = nn.utils.clip_grad_norm_(model.parameters(), stage.clip)
            optimizer.step()
            ema_update(average, model, stage.ema, at.global_step)
            meter.add(losses, batch, norm)
            at.step, at.global_step = at.step + 1, at.global_step + 1
            # Ranks must agree, so rank 0's clock decides, and not at every step: asking costs.
            # The last step's checkpoint is the one after validation.
            asked = at.global_step % clock_steps == 0 and at.step < stream.steps_per_epoch
            if asked and world.on_main(due):
                at.meter = meter.state()
                world.on_main(save)
                saved = time.monotonic()

        record = meter.read()
        strategy.agree(average)
        found = validate(average)
        score = found.get("tune/auroc")
        at.epoch, at.step, at.meter = at.epoch + 1, 0, {}
        if stage.select == "last" or score is None or at.best is None or score > at.best:
            at.best, at.best_epoch = score, at.epoch
            best.load_state_dict(average.state_dict())
        tracker.log({"step": at.global_step, "epoch": at.epoch} | record | found)
        world.on_main(save)  # after the record: one killed in between is cut off and made again
        saved = time.monotonic()
    model.load_state_dict(best.state_dict())
    return at


def step_seed(seed: int, global_step: int, rank: int) -> int:
    """63 bits for torch's generator at one step of one rank."""
    digest = hashlib.sha256(f"step/{seed}/{global_step}/{rank}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1
