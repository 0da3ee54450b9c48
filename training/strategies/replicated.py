"""Whole weights on every rank: one device, or several with DistributedDataParallel."""

from __future__ import annotations

import warnings
from contextlib import nullcontext

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from training.config import Compute, Stage
from training.optim import optimizer_for, set_rate
from training.strategies import Batch, Task, add, autocast, buffers_of_rank_0
from training.world import World


class Replicated:
    """One device, or DDP where there are more ranks."""

    def __init__(self, world: World, compute: Compute, precision: str) -> None:
        self.world, self.compute, self.precision = world, compute, precision
        self.autocast = autocast(precision, world.device)

    def prepare(self, model: nn.Module, stage: Stage) -> None:
        """See `Strategy`. Several ranks: rank 0's weights are sent to all."""
        self.model, self.stage = model.train(), stage
        self.optimizer = optimizer_for(model, stage)
        if self.compute.compile:
            model.compile()
        self.call: nn.Module = model
        # With two ranks a sum is a + b in any bucket; with more its order depends on the buckets,
        # which DDP lays out anew after its first backward pass.
        self.settled = self.world.size <= 2
        if self.world.size > 1:
            # One-channel weights are "channels last" and not; DDP warns of it at every start.
            warnings.filterwarnings("ignore", message="Grad strides do not match bucket view")
            devices = [self.world.device] if self.world.device.type == "cuda" else None
            self.call = DistributedDataParallel(
                model, device_ids=devices, gradient_as_bucket_view=True
            )

    def step(
        self, task: Task, batch: Batch, lr: float
    ) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        """See `Strategy`."""
        if not self.settled:
            self._settle(task, batch)
        set_rate(self.optimizer, lr)
        sums = self._backward(task, batch)
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.stage.clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return sums, norm.detach()

    def _backward(self, task: Task, batch: Batch) -> dict[str, torch.Tensor]:
        if self.compute.channels_last:
            batch.image = batch.image.contiguous(memory_format=torch.channels_last)
        sums: dict[str, torch.Tensor] = {}
        # DDP averages over the ranks: the factor makes it the sum that `global_real` divides.
        scale = self.world.size / batch.global_real
        micro = batch.split(self.compute.accumulate) if self.compute.accumulate > 1 else [batch]
        for i, part in enumerate(micro):
            ddp = self.call if isinstance(self.call, DistributedDataParallel) else None
            with ddp.no_sync() if ddp and i < len(micro) - 1 else nullcontext():
                with self.autocast:
                    losses = task.loss(self.call, part)
                (losses["loss"] * scale).backward()
            add(sums, losses)
        return sums

    def _settle(self, task: Task, batch: Batch) -> None:
        """A pass that teaches nothing, so that each real one has DDP's final buckets.

        Else the first step after a restart would add in another order than the same step of a run
        that was not restarted.
        """
        self.settled = True
        before = {name: b.clone() for name, b in self.model.named_buffers()}
        cuda = [self.world.device] if self.world.device.type == "cuda" else []
        with torch.random.fork_rng(devices=cuda):
            self._backward(task, batch)
        for name, b in self.model.named_buffers():
            b.copy_(before[name])
        self.optimizer.zero_grad(set_to_none=True)

    def parts(self) -> list[torch.Tensor]:
        """See `Strategy`: the parameters themselves."""
        return [p.detach() for p in self.model.parameters()]

    def part_of(self, whole: list[torch.Tensor]) -> list[torch.Tensor]:
        """See `Strategy`: all of it."""
        return [t.detach() for t in whole]

    def whole(self, parts: list[torch.Tensor]) -> list[torch.Tensor]:
        """See `Strategy`: they are."""
        return parts

    def buffers(self) -> dict[str, torch.Tensor]:
        """See `Strategy`."""
        return buffers_of_rank_0(self.model, self.world)

    def optimizer_state(self) -> dict[str, torch.Tensor]:
        """See `Strategy`."""
        return {
            f"{name}/{field}": torch.as_tensor(value)
            for name, p in self.model.named_parameters()
            for field, value in self.optimizer.state.get(p, {}).items()
        }

    def load_optimizer(self, state: dict[str, torch.Tensor]) -> None:
        """See `Strategy`."""
        name_of = {p: name for name, p in self.model.named_parameters()}
        order = [name_of[p] for group in self.optimizer.param_groups for p in group["params"]]
        fields: dict[int, dict[str, torch.Tensor]] = {}
        for key, value in state.items():
            name, _, field = key.rpartition("/")
            fields.setdefault(order.index(name), {})[field] = value
        whole = self.optimizer.state_dict()
        self.optimizer.load_state_dict(whole | {"state": fields})
        for p, state in self.optimizer.state.items():
            for field, value in state.items():
                if value.shape == p.shape:  # the update walks both as they lie in memory
                    state[field] = torch.empty_like(p).copy_(value)

    def close(self) -> None:
        """See `Strategy`."""
        del self.call, self.optimizer, self.model
