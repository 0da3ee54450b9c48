"""A network by its name: one of our own, or timm's."""

from __future__ import annotations

from torch import nn

from training.config import Model
from training.models import backbone
from training.models.cumulative_link import CumulativeLink
from training.models.face2bone import Face2Bone
from training.models.grid_transformer import grid_transformer


def build(config: Model, load: bool = True) -> nn.Module:
    """The network: [B, 1, H, W], or [B, 3, H, W] of colour -> logits [B, C].

    Face2Bone with a face branch takes FaceNet's embedding [B, 512] beside the picture.

    Args:
        config: name, where the weights come from, classes, sizes.
        load: False leaves the start random because a checkpoint is loaded right after.

    Raises:
        ValueError: unknown name; weights missing, not of the stated hash, or not to be had.
    """
    if config.ordinal:
        two = config.model_copy(update={"ordinal": False, "classes": 2})
        return CumulativeLink(build(two, load))
    if config.grid:
        return grid_transformer(config, config.grid, load)
    if config.face:
        return Face2Bone(config.face, config.classes)
    return backbone.build(config, load)
