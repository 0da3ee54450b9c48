"""How one optimizer step is made: on one device, on many (DDP), or with DeepSpeed's ZeRO.

The loop speaks to a `Strategy` only. Whatever the strategy, what it gives to a checkpoint is whole
and named by the model's own parameters, so that any run goes on under another strategy and in a
world of another size.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import torch
import torch.distributed as dist
from torch import nn

from training.config import Config, Stage
from training.world import World


class Batch(Protocol):
    """What a strategy knows of a batch (`training.stream.Batch`)."""

    image: torch.Tensor  # [b, 1, h, w]
    global_real: int  # real samples in the global batch, all ranks together

    def split(self, n: int) -> list[Any]:
        """Micro-batches, as many on every rank."""
        ...


class Task(Protocol):
    """What is learnt."""

    def loss(self, model: nn.Module, batch: Any) -> dict[str, torch.Tensor]:
        """Sums over this rank's real samples, by name; `loss` is differentiated."""
        ...


@runtime_checkable
class Follows(Protocol):
    """A task that looks at the moving average while it learns (mean teacher)."""

    def attach(self, average: nn.Module) -> None:
        """Called once, before the first step, with the module that holds the averaged weights."""
        ...


class Strategy(Protocol):
    """One optimizer step, and the weights behind it.

    A *part* is what this rank holds of a parameter; parts are listed in the order of
    ``model.parameters()``. `prepare` comes first; all ranks call all methods together.
    """

    world: World

    def prepare(self, model: nn.Module, stage: Stage) -> None:
        """Take a model whose weights are loaded and are on the device; make its optimizer."""
        ...

    def step(
        self, task: Task, batch: Batch, lr: float
    ) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        """Forward, backward over micro-batches, clip, update.

        The gradient is that of the sum of `loss` over all ranks divided by ``batch.global_real``.

        Returns:
            this rank's sums, detached, and the gradient's norm before clipping, equal on all ranks.
        """
        ...

    def parts(self) -> list[torch.Tensor]:
        """What this rank holds of the parameters: live tensors, which `step` changes."""
        ...

    def part_of(self, whole: list[torch.Tensor]) -> list[torch.Tensor]:
        """What this rank would hold of tensors of the parameters' shapes; it may share memory."""
        ...

    def whole(self, parts: list[torch.Tensor]) -> list[torch.Tensor]:
        """Tensors like `parts` -> float32 tensors of the parameters' shapes, on every rank."""
        ...

    def buffers(self) -> dict[str, torch.Tensor]:
        """Rank 0's buffers (batch norm statistics), on every rank."""
        ...

    def optimizer_state(self) -> dict[str, torch.Tensor]:
        """``<parameter>/exp_avg``, ``/exp_avg_sq``, ``/step``: whole, at least on rank 0."""
        ...

    def load_optimizer(self, state: dict[str, torch.Tensor]) -> None:
        """What `optimizer_state` gave, under any strategy and in a world of any size."""
        ...

    def close(self) -> None:
        """Let go of the model."""
        ...


def strategy_for(config: Config, world: World) -> Strategy:
    """The strategy of ``config.compute``.

    Raises:
        ValueError: it does not fit the world, or its library or the hardware is missing.
    """
    name = config.compute.strategy
    if name.startswith("zero"):
        from training.strategies.zero import Zero

        return Zero(world, config.compute, config.precision)
    if name == "single" and world.size > 1:
        raise ValueError(f"compute.strategy=single, but there are {world.size} workers")
    from training.strategies.replicated import Replicated

    return Replicated(world, config.compute, config.precision)


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """The context of a forward pass; ValueError where the device has no bf16."""
    wanted = precision == "bf16"
    if wanted and device.type == "cuda" and not torch.cuda.is_bf16_supported():
        raise ValueError("precision=bf16, but this GPU has none; set precision=float32")
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=wanted)


def buffers_of_rank_0(model: nn.Module, world: World) -> dict[str, torch.Tensor]:
    """By name, on every rank: each rank's batch norms have seen its own samples only."""
    if world.size > 1:
        for buffer in model.buffers():
            dist.broadcast(buffer, src=0)
    return dict(model.named_buffers())


def add(sums: dict[str, torch.Tensor], losses: dict[str, torch.Tensor]) -> None:
    """A micro-batch's losses onto those of the step so far, detached."""
    for name, value in losses.items():
        sums[name] = sums[name] + value.detach() if name in sums else value.detach()
