"""A network by its name: one of our own, or timm's."""

from __future__ import annotations

from torch import nn

from training.config import Model
from training.models import backbone
from training.models.grid import GRIDS
from training.models.grid_transformer import grid_transformer


def build(config: Model, load: bool = True) -> nn.Module:
    """The network: [B, 1, H, W] -> logits [B, 2].

    Args:
        config: name, where the weights come from, drop path.
        load: False leaves the start random because a checkpoint is loaded right after.

    Raises:
        ValueError: unknown name; weights missing, not of the stated hash, or not to be had.
    """
    if config.name in GRIDS:
        return grid_transformer(config, GRIDS[config.name], load)
    return backbone.build(config, load)
