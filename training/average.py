"""The moving average of a model's weights, kept in the parts that a strategy holds of them."""

from __future__ import annotations

import torch
from torch import nn

from training.strategies import Strategy


class Average:
    """Exponential moving average; what is validated, kept and used is this, not the model itself.

    `module` holds the averaged weights. It is up to date after `settle`, and at any time where each
    rank holds the whole weights (all strategies but ZeRO-3), buffers excepted.
    """

    def __init__(self, module: nn.Module, strategy: Strategy, decay: float) -> None:
        """`module`: where it starts; `strategy` is prepared. A decay of 0 is no average."""
        self.module = module.eval().requires_grad_(False)
        self.strategy, self.decay, self.last = strategy, decay, decay
        self.parts, self.of = strategy.part_of(list(module.parameters())), strategy.parts()

    @torch.no_grad()
    def update(self, step: int) -> None:
        """average <- d average + (1 - d) model with d = min(decay, (1 + t)/(10 + t))."""
        self.last = d = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self.parts, self.of, 1 - d)  # type: ignore[attr-defined]

    @torch.no_grad()
    def settle(self) -> nn.Module:
        """`module` with all parts, and with rank 0's buffers: batch norms' statistics are taken as
        they are, not averaged. All ranks must call it.
        """
        whole = self.strategy.whole(self.parts)
        for parameter, value in zip(self.module.parameters(), whole, strict=True):
            if value.data_ptr() != parameter.data_ptr():
                parameter.copy_(value)
        self.take_buffers()
        return self.module

    @torch.no_grad()
    def take_buffers(self) -> None:
        """Rank 0's buffers as they are now, on every rank. All ranks must call it."""
        for name, buffer in self.strategy.buffers().items():
            self.module.get_buffer(name).copy_(buffer)

    def states(self) -> dict[str, dict[str, torch.Tensor]]:
        """State dicts of the `model` and of its average, `ema`. All ranks must call it."""
        ema = self.settle().state_dict()
        names = [name for name, _ in self.module.named_parameters()]
        model = dict(zip(names, self.strategy.whole(self.of), strict=True))
        return {"model": ema | model, "ema": ema}
