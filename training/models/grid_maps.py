"""Where the grid model sees evidence for an answer: in cells of its tiles, and by tile.

Cells: Grad-CAM (Selvaraju et al. 2017) at the ResNet's last map, with the gradient of the global
logit through the Transformer. Each tile has its own weights, the mean gradient of each channel over
that tile; the maps are put together before anything is cut off or scaled, since scaling each tile
would invent contrast. What is returned is signed: take max(0, .) and scale once for the picture.
The ResNet runs without a gradient, which begins at its map: 36 tiles of 256 x 256 fit anywhere.

Tiles: the norm of gradient x token where the tile's numbers enter the encoder. A tile's cells sum
to that product's sum, its share of the logit to first order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from training.models.grid_transformer import GridTransformer
from training.models.tiles import pool


@dataclass(frozen=True)
class GridMaps:
    """Evidence for one answer, of B pictures of n x n tiles, in units of the score."""

    cells: torch.Tensor  # [B, n h, n w], signed; 48 x 48 for the paper's sizes
    tiles: torch.Tensor  # [B, n, n], at least 0


def grid_maps(
    model: GridTransformer, images: torch.Tensor, score: Callable[[torch.Tensor], torch.Tensor]
) -> GridMaps:
    """Explain a score of the global head for each picture.

    Args:
        model: in eval mode; frozen weights are fine.
        images: float [B, 1, H, W], preprocessed.
        score: the global logits [B, C] -> what is explained, [B]; such as a class's logit.

    Raises:
        ValueError: the model is in training mode.
    """
    if model.training:
        raise ValueError("call model.eval() first: batch statistics would mix the pictures")
    n = model.grid.grid
    with torch.no_grad():
        map_BDhw = model.feature_map(images)
    with torch.enable_grad():
        map_BDhw.requires_grad_()
        features_BND = model.pooled(map_BDhw)
        score_B = score(model.head(model.encode(features_BND)[:, 0]))
        of_map, of_features = torch.autograd.grad(score_B.sum(), (map_BDhw, features_BND))
    # (B, N, D) -> (B, D, n, n) -> (B, D, n h, n w): each tile's weights at each of its cells
    weights = pool(of_map, n).transpose(1, 2).unflatten(2, (n, n))
    h, w = map_BDhw.shape[2] // n, map_BDhw.shape[3] // n
    weights = weights.repeat_interleave(h, dim=2).repeat_interleave(w, dim=3)
    cells = (weights * map_BDhw).sum(1)
    tiles = (of_features * features_BND).norm(dim=2).unflatten(1, (n, n))
    return GridMaps(cells.detach().float(), tiles.detach().float())
