"""The loss of the grid model: the global head's, and the local heads' weighted (Li et al. 2026).

The paper has a global and a local loss and says no more. Here every tile has the picture's label,
which is weak: most tiles show little bone. ``local_loss=tile`` is the mean of the tiles' losses,
``mean`` the loss of their mean logit (multiple instances: they need be right only together).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from training.batch import Batch
from training.grid import Grid
from training.losses import NAMES, by_class, cross_entropy, ramp_up
from training.tasks import Losses

# Shapes: B samples of this rank, N tiles, C classes.


@dataclass
class GridSupervised:
    """Cross-entropy of the global head + weight x that of the local heads."""

    grid: Grid
    steps_per_epoch: int
    names: tuple[str, ...] = NAMES

    def loss(self, model: nn.Module, batch: Batch) -> Losses:
        """`loss`, `ce` (global) and `local`, sums over real samples; the last two by class."""
        out = model(batch.image, local=True)
        ce_B = cross_entropy(out.logits, batch.label)
        local_B = local_cross_entropy(out.local, batch.label, self.grid.local_loss)
        values = {"ce": ce_B, "local": local_B}
        loss_B = ce_B + self.weight(batch) * local_B
        sums = {"loss": (loss_B * batch.real).sum()}
        sums |= {name: (v.detach() * batch.real).sum() for name, v in values.items()}
        return sums | by_class(values, batch.label, batch.real, self.names)

    def weight(self, batch: Batch) -> float:
        """Of the local loss: grown in the first epochs where ``local_ramp_epochs`` asks for it."""
        if not self.grid.local_ramp_epochs:
            return self.grid.local_weight
        done = batch.epoch + batch.step / self.steps_per_epoch
        return self.grid.local_weight * ramp_up(done / self.grid.local_ramp_epochs)


def local_cross_entropy(local_BNC: torch.Tensor, label_B: torch.Tensor, how: str) -> torch.Tensor:
    """[B], in nats: of each tile and then the mean (`tile`), or of the mean logit (`mean`)."""
    if how == "mean":
        return cross_entropy(local_BNC.mean(1), label_B)
    tiles = local_BNC.shape[1]
    ce = cross_entropy(local_BNC.flatten(0, 1), label_B.repeat_interleave(tiles))
    return ce.unflatten(0, (-1, tiles)).mean(1)
