"""A picture as a grid of tiles that do not overlap and leave nothing out, and maps put together.

Row i of n begins at floor(i H / n), columns likewise: where n does not divide H, tiles differ by a
pixel. Li et al. 2026 (section 1.2) cut the image into 6 x 6 blocks and resize each bilinearly to
256 x 256. Where a tile shrinks on the way the filter widens with it (antialiasing), so that no
pixel is passed over; where it grows that is plain bilinear interpolation.

Shapes: B pictures, n rows and columns, N = n^2 tiles in reading order, s x s pixels a tile.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch.nn.functional import interpolate


def edges(size: int, n: int) -> list[int]:
    """n + 1 positions: tile i is [edges[i], edges[i + 1]).

    Raises:
        ValueError: fewer pixels than tiles.
    """
    if size < n:
        raise ValueError(f"{size} pixels cannot be cut into {n} tiles: give a larger input.size")
    return [i * size // n for i in range(n + 1)]


def cut(images_B1HW: torch.Tensor, n: int, s: int) -> torch.Tensor:
    """[B, 1, H, W] -> [B, N, 1, s, s]: each tile resized on its own, without its neighbours."""
    rows, columns = (edges(size, n) for size in images_B1HW.shape[-2:])
    tiles = []
    for top, bottom in pairwise(rows):
        for left, right in pairwise(columns):
            tiles.append(_resize(images_B1HW[..., top:bottom, left:right], s))
    return torch.stack(tiles, dim=1)


def _resize(tile_B1hw: torch.Tensor, s: int) -> torch.Tensor:
    height, width = tile_B1hw.shape[-2:]
    if (height, width) == (s, s):
        return tile_B1hw
    shrinks = height > s or width > s
    return interpolate(tile_B1hw, (s, s), mode="bilinear", align_corners=False, antialias=shrinks)


def stitch(maps_BNChw: torch.Tensor) -> torch.Tensor:
    """Maps of the tiles -> one map of the picture: [B, N, C, h, w] -> [B, C, n h, n w]."""
    b, tiles, c, h, w = maps_BNChw.shape
    n = round(tiles**0.5)
    assert n * n == tiles, f"{tiles} tiles are no square grid"
    # (B, row, column, C, h, w) -> (B, C, row, h, column, w)
    each = maps_BNChw.reshape(b, n, n, c, h, w).permute(0, 3, 1, 4, 2, 5)
    return each.reshape(b, c, n * h, n * w)


def pool(map_BCHW: torch.Tensor, n: int) -> torch.Tensor:
    """The mean of each tile of a stitched map: [B, C, n h, n w] -> [B, N, C]."""
    b, c, height, width = map_BCHW.shape
    # (B, C, row, h, column, w) -> (B, C, row, column)
    means = map_BCHW.reshape(b, c, n, height // n, n, width // n).mean((3, 5))
    return means.flatten(2).transpose(1, 2)
