"""Means over an epoch, over all ranks, without waiting for the device at each step."""

from __future__ import annotations

import math
import time

import torch

from training.stream import Batch
from training.world import World


class Meter:
    """Sums of losses over the real samples of an epoch; survives a restart in a checkpoint."""

    def __init__(self, carried: dict[str, float], world: World) -> None:
        """Go on from `carried` (of `state`), or begin with an empty one."""
        carried = dict(carried)
        self.world = world
        self.real, self.steps = carried.pop("real", 0.0), carried.pop("steps", 0.0)
        self.norm: torch.Tensor | float = carried.pop("norm", 0.0)
        # Rank 0 carries what all ranks had summed.
        self.sums: dict[str, torch.Tensor] = {
            name: torch.tensor(value if world.main else 0.0, device=world.device).double()
            for name, value in carried.items()
        }
        self.real_before, self.start = self.real, time.monotonic()

    def add(self, losses: dict[str, torch.Tensor], batch: Batch, norm: torch.Tensor) -> None:
        """One step: this rank's sums, the gradient's norm (the same on every rank)."""
        for name, value in losses.items():
            self.sums[name] = self.sums.get(name, 0.0) + value.detach().double()
        self.real += batch.global_real
        self.steps += 1
        self.norm = self.norm + norm.detach()

    def state(self) -> dict[str, float]:
        """Sums over all ranks, for a checkpoint. All ranks must call it."""
        names = sorted(self.sums)
        totals = self.world.gather(torch.stack([self.sums[n] for n in names])).sum(0).tolist()
        rest = {"real": self.real, "steps": self.steps, "norm": float(self.norm)}
        return dict(zip(names, totals, strict=True)) | rest

    def read(self) -> dict[str, float]:
        """train/<loss>, train/grad_norm, train/samples_per_s; the same on every rank.

        Raises:
            ValueError: a loss is not finite, so that the weights are spoilt.
        """
        state = self.state()
        real, steps, norm = (state.pop(name) for name in ("real", "steps", "norm"))
        means = {f"train/{name}": total / real for name, total in state.items()}
        if not all(math.isfinite(x) for x in (*means.values(), norm)):
            raise ValueError("the loss is not finite any more: lower the learning rate (STAGE.lr)")
        rate = (real - self.real_before) / (time.monotonic() - self.start)
        return means | {"train/grad_norm": norm / steps, "train/samples_per_s": rate}
