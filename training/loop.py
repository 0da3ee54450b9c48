"""The loop. It knows no Ray, no W&B and no DeepSpeed, and runs the same everywhere."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import nn

from training.checkpoint import Checkpoints, Position
from training.config import Stage
from training.optim import adamw, ema_update, learning_rate
from training.strategy import Strategy
from training.stream import Batch, Stream
from training.track import Tracker
from training.world import World


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
) -> Position:
    """Train `model` in place, from the newest checkpoint if there is one; return where it stands.

    At the end `model` holds the weights' moving average (if `stage.ema`), of the last epoch or of
    the best by ``validate(model)['tune/auroc']``.
    """
    world = strategy.world
    optimizer = adamw(model, stage)
    average, best = copy.deepcopy(model).eval(), copy.deepcopy(model).eval()
    at = checkpoints.restore(model, average, best, optimizer)
    tracker.resume(at.global_step)
    wrapped = strategy.prepare(model)
    saved = time.monotonic()

    def due() -> bool:
        return time.monotonic() - saved > every_s

    def save() -> None:
        checkpoints.save(at, model, average, best, optimizer)

    while at.epoch < stage.epochs:
        wrapped.train()
        meter = Meter()
        for batch in stream.epoch(at.epoch, start=at.step):
            # Dropout and drop path draw from here: the same after a restart, another on each rank.
            torch.manual_seed((seed * 1_000_003 + at.global_step) * 4096 + world.rank)
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
            if at.global_step % 20 == 0 and world.on_main(due):
                world.on_main(save)
                saved = time.monotonic()

        strategy.agree(average)
        found = validate(average)
        score = found.get("tune/auroc")
        if stage.select == "last" or score is None or score > at.best:
            at.best = at.best if score is None else score
            at.best_epoch = at.epoch
            best.load_state_dict(average.state_dict())
        at.epoch, at.step = at.epoch + 1, 0
        tracker.log({"step": at.global_step, "epoch": at.epoch} | meter.read(world) | found)
        world.on_main(save)  # after the record: one killed in between is cut off and made again
        saved = time.monotonic()
    model.load_state_dict(best.state_dict())
    return at


class Meter:
    """Means over an epoch's real samples of all ranks, without waiting for the device each step."""

    def __init__(self) -> None:
        self.sums: dict[str, torch.Tensor] = {}
        self.global_real, self.steps = 0, 0
        self.norm, self.start = torch.zeros(()), time.monotonic()

    def add(self, losses: dict[str, torch.Tensor], batch: Batch, norm: torch.Tensor) -> None:
        """One step's sums."""
        for name, value in losses.items():
            self.sums[name] = self.sums.get(name, 0) + value.detach()
        self.global_real += batch.global_real
        self.norm = self.norm.to(norm.device) + norm.detach()
        self.steps += 1

    def read(self, world: World) -> dict[str, float]:
        """train/<loss>, train/grad_norm, train/samples_per_s; the same on every rank."""
        names = sorted(self.sums)
        sums = torch.stack([self.sums[n].double() for n in names])
        means = (world.gather(sums).sum(0) / max(1, self.global_real)).tolist()
        seconds = time.monotonic() - self.start
        return {f"train/{n}": m for n, m in zip(names, means, strict=True)} | {
            "train/grad_norm": float(self.norm) / max(1, self.steps),
            "train/samples_per_s": self.global_real / seconds,
        }
