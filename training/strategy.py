"""How the gradient is made: on one device, or averaged over ranks (DDP)."""

from __future__ import annotations

import warnings
from typing import Protocol

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from training.world import World


class Strategy(Protocol):
    """What the loop asks of a strategy."""

    world: World

    def prepare(self, model: nn.Module) -> nn.Module:
        """The module to call in training; `model` itself stays the one to save."""
        ...

    def agree(self, model: nn.Module) -> None:
        """Make buffers equal on all ranks."""
        ...

    def scale(self, loss_sum: torch.Tensor, global_real: int) -> torch.Tensor:
        """The loss to differentiate, given the sum over this rank's real samples."""
        ...


class Single:
    """One device."""

    def __init__(self, world: World) -> None:
        self.world = world

    def prepare(self, model: nn.Module) -> nn.Module:
        """Unchanged."""
        return model

    def agree(self, model: nn.Module) -> None:
        """Nobody to agree with."""

    def scale(self, loss_sum: torch.Tensor, global_real: int) -> torch.Tensor:
        """Mean over the real samples."""
        return loss_sum / global_real


class DDP:
    """DistributedDataParallel. It averages gradients, hence the factor `size` in `scale`."""

    def __init__(self, world: World) -> None:
        self.world = world

    def prepare(self, model: nn.Module) -> nn.Module:
        """Wrapped; rank 0's weights are sent to all."""
        # One-channel weights are "channels last" and not; DDP warns of it at every start.
        warnings.filterwarnings("ignore", message="Grad strides do not match bucket view")
        devices = [self.world.device] if self.world.device.type == "cuda" else None
        return DistributedDataParallel(model, device_ids=devices, gradient_as_bucket_view=True)

    def agree(self, model: nn.Module) -> None:
        """Rank 0's buffers for all: each rank's batch norms have seen its own samples only."""
        for buffer in model.buffers():
            dist.broadcast(buffer, src=0)

    def scale(self, loss_sum: torch.Tensor, global_real: int) -> torch.Tensor:
        """So that the averaged gradient is that of the mean over all real samples of all ranks."""
        return loss_sum * self.world.size / global_real


def strategy_for(world: World) -> Strategy:
    """DDP for more than one rank."""
    return DDP(world) if world.size > 1 else Single(world)
