"""The grid model of Li et al. 2026: tiles, a shared ResNet-18, a Transformer, two kinds of heads.

A picture is cut into 6 x 6 tiles of 256 x 256; each becomes 512 numbers; with a learnt [BMD] token
before them and learnt positions added they pass six post-norm layers. A global head reads the
token, and each tile has a local head of its own. The paper gives the risk as the sigmoid of one
logit; here, as everywhere in this repository, it is the softmax of two, whose difference that is
(or of three, for three classes).

    build(Model(name="grid_transformer", pretrained="tag"))

The sizes are in `training.grid`, the loss in `training.grid_loss`.

Shapes: B pictures, N tiles, T = N + 1 tokens, D numbers each, C classes.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn
from torch.nn.functional import gelu

from training.config import Model
from training.grid import Grid
from training.models.post_norm import PostNormLayer
from training.models.tile_resnet import TileResNet, tile_resnet
from training.models.tiles import cut, pool, stitch


class GridOutput(NamedTuple):
    """What both kinds of heads say."""

    logits: torch.Tensor  # [B, C]
    local: torch.Tensor  # [B, N, C]


class LocalHeads(nn.Module):
    """An MLP for each tile, which shares no weights with the others'."""

    def __init__(self, tiles: int, width: int, hidden: int, classes: int) -> None:
        super().__init__()
        # Each as nn.Linear begins. Biases are vectors, which do not decay.
        self.weight1 = _uniform(width, tiles, width, hidden)
        self.bias1 = _uniform(width, tiles * hidden)
        self.weight2 = _uniform(hidden, tiles, hidden, classes)
        self.bias2 = _uniform(hidden, tiles * classes)

    def forward(self, y_BND: torch.Tensor) -> torch.Tensor:
        """[B, N, D] -> logits [B, N, C]."""
        tiles = len(self.weight1)
        # N products of [B, D] with [D, hidden]
        h = torch.baddbmm(self.bias1.view(tiles, 1, -1), y_BND.transpose(0, 1), self.weight1)
        out = torch.baddbmm(self.bias2.view(tiles, 1, -1), gelu(h), self.weight2)
        return out.transpose(0, 1)


def _uniform(fan_in: int, *shape: int) -> nn.Parameter:
    bound = fan_in**-0.5
    return nn.Parameter(torch.empty(shape).uniform_(-bound, bound))


class GridTransformer(nn.Module):
    """[B, 1, H, W] -> logits [B, C], or `GridOutput` where the local heads are asked as well.

    Any H and W of at least a pixel a tile will do; at 6 x 256 nothing is resized.
    """

    #: Parts that learn beside, and have no say in the logits.
    aside = ("local_heads",)

    def __init__(self, grid: Grid, tiles: TileResNet, classes: int) -> None:
        """`tiles`: what turns a tile into a map of ``grid.width`` channels."""
        super().__init__()
        self.grid = grid
        self.tiles = tiles
        self.maps = nn.Identity()  # sees the picture's map put together, as Grad-CAM wants it
        self.bmd = nn.Parameter(torch.empty(grid.width))
        self.positions = nn.Parameter(torch.empty(grid.tiles + 1, grid.width))
        for learnt in (self.bmd, self.positions):
            nn.init.trunc_normal_(learnt, std=0.02)
        self.drop = nn.Dropout(grid.dropout)
        self.layers = nn.Sequential(
            *(
                PostNormLayer(grid.width, grid.heads, grid.mlp, grid.dropout)
                for _ in range(grid.depth)
            )
        )
        self.head = nn.Sequential(
            nn.Linear(grid.width, grid.hidden), nn.GELU(), nn.Linear(grid.hidden, classes)
        )
        self.local_heads = LocalHeads(grid.tiles, grid.width, grid.hidden, classes)
        #: As timm tells it: where the last feature map is seen, and its channels.
        self.feature_info = [{"module": "maps", "num_chs": grid.width, "reduction": 32}]

    def forward(self, images: torch.Tensor, local: bool = False) -> torch.Tensor | GridOutput:
        """Logits; with `local` those of the tiles too."""
        features_BND = self.pooled(self.feature_map(images))
        tokens_BTD = self.encode(features_BND)
        logits_BC = self.head(tokens_BTD[:, 0])
        if not local:
            return logits_BC
        of_token = self.grid.local_input == "token"
        return GridOutput(
            logits_BC, self.local_heads(tokens_BTD[:, 1:] if of_token else features_BND)
        )

    def feature_map(self, images: torch.Tensor) -> torch.Tensor:
        """[B, 1, H, W] -> [B, D, n h, n w]: the ResNet's maps of the tiles, put together."""
        tiles = cut(images, self.grid.grid, self.grid.tile)
        maps = self.tiles(tiles.flatten(0, 1)).unflatten(0, tiles.shape[:2])
        return self.maps(stitch(maps))

    def pooled(self, map_BDhw: torch.Tensor) -> torch.Tensor:
        """A feature map -> [B, N, D], the mean of each tile."""
        return pool(map_BDhw, self.grid.grid)

    def encode(self, features_BND: torch.Tensor) -> torch.Tensor:
        """[B, N, D] -> [B, T, D]: the [BMD] token first, then the tiles in reading order."""
        bmd = self.bmd.expand(len(features_BND), 1, -1)
        tokens_BTD = torch.cat([bmd.to(features_BND.dtype), features_BND], dim=1)
        return self.layers(self.drop(tokens_BTD + self.positions))

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Less memory for a third more work; the gradients are the same (`tile_resnet`)."""
        self.tiles.checkpointing = enable

    def get_classifier(self) -> nn.Module:
        """The global head, under timm's name for it."""
        return self.head


def grid_transformer(config: Model, grid: Grid, load: bool = True) -> GridTransformer:
    """The network, its ResNet-18 with the weights that `config` names.

    Raises:
        ValueError: weights missing, of another network, not of the stated hash, or not to be had.
    """
    return GridTransformer(grid, tile_resnet(config, grid.width, load), config.classes)
