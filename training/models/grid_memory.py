"""What a training step of the grid model holds in memory, from the shapes alone.

A step is run on torch's meta device, whose tensors have shapes and no numbers, and every block that
comes to life and goes is counted. So the paper's size is known in half a second on any machine:

    from training.grid import Grid
    from training.models.grid_memory import step_memory
    print(step_memory(Grid(), batch=8, side=1536))

Counted are tensors in float32. The GPU's libraries need working space besides, and its allocator
leaves gaps.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from training.config import Model
from training.grid import Grid
from training.losses import cross_entropy
from training.models.grid_transformer import GridTransformer, grid_transformer


@dataclass(frozen=True)
class StepMemory:
    """Bytes."""

    weights: int  # parameters and batch norm statistics
    held: int  # activations that wait for the backward pass when it begins
    peak: int  # the most that activations and gradients take together, weights not counted

    def total(self, copies: int) -> int:
        """With what the optimizer keeps: SGD with momentum 1 copy, AdamW 2, an average 1 more."""
        return (1 + copies) * self.weights + self.peak


class LiveBytes(TorchDispatchMode):
    """Counts the storage of tensors made while it is on: now, and the most at a time."""

    def __init__(self, but: Iterable[torch.Tensor]) -> None:
        """`but`: tensors that were there before and do not count."""
        super().__init__()
        self.now = self.peak = 0
        self.seen: dict[int, weakref.ref] = {}
        for tensor in but:
            self._see(tensor, 0)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        """Run one operation and look at what it made."""
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, torch.Tensor):
                self._see(leaf, leaf.untyped_storage().nbytes())
        return out

    def _see(self, tensor: torch.Tensor, size: int) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self.seen:  # a view, or changed in place
            return

        def gone(_: Any) -> None:
            del self.seen[key]
            self.now -= size

        self.seen[key] = weakref.ref(storage, gone)
        self.now += size
        self.peak = max(self.peak, self.now)


def step_memory(grid: Grid, batch: int, side: int, checkpointing: bool = False) -> StepMemory:
    """Of one forward and backward pass with the loss of both heads.

    Args:
        grid: sizes of the network.
        batch: pictures on this device at a time.
        side: pixels of a picture's side.
        checkpointing: as ``GridTransformer.set_grad_checkpointing``.
    """
    with torch.device("meta"):
        model = grid_transformer(Model(name="grid_transformer", pretrained="none"), grid)
        images = torch.empty(batch, 1, side, side)
    model.set_grad_checkpointing(checkpointing)
    return measure(model, images)


def measure(model: GridTransformer, images: torch.Tensor) -> StepMemory:
    """As `step_memory`, of a model on any device in training mode; it leaves gradients behind."""
    label = torch.zeros(len(images), dtype=torch.long, device=images.device)
    own = [*model.parameters(), *model.buffers()]
    live = LiveBytes([*own, images, label])
    with live:
        held = _step(model, images, label, live)
    return StepMemory(sum(x.untyped_storage().nbytes() for x in own), held, live.peak)


def _step(model: nn.Module, images: torch.Tensor, label: torch.Tensor, live: LiveBytes) -> int:
    out = model(images, local=True)
    local = cross_entropy(out.local.mean(1), label)
    loss = (cross_entropy(out.logits, label) + local).sum()
    held = live.now
    loss.backward()
    return held
