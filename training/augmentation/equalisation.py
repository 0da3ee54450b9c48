"""CLAHE in batch, as cv2 does it on 8 bits, in whole numbers and the same roundings.

Zuiderveld 1994: histograms of 8x8 tiles; what a bin holds above the limit is spread over all bins;
each tile's cumulative histogram is a table of grey levels; a pixel takes the bilinear mean of what
the four nearest tiles' tables say of it.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F

from training.augmentation.tone import TILES


def equalise(x: torch.Tensor, clips: list[float]) -> torch.Tensor:
    """uint8 [b, 1, h, w], or [b, 3, h, w] as RGB (of its luma), one limit for each picture."""
    if x.shape[1] == 1:
        return _clahe(x[:, 0], clips)[:, None]
    r, g, b = x.to(torch.int32).unbind(1)
    # BT.601 in 14 bits of fraction, as cv2 rounds it
    luma = (r * 4899 + g * 9617 + b * 1868 + 8192) >> 14
    red = (((r - luma) * 11682 + 8192 >> 14) + 128).clamp(0, 255) - 128
    blue = (((b - luma) * 9241 + 8192 >> 14) + 128).clamp(0, 255) - 128
    luma = _clahe(luma.to(torch.uint8), clips).to(torch.int32)
    r = luma + (red * 22987 + 8192 >> 14)
    g = luma + (blue * -5636 + red * -11698 + 8192 >> 14)
    b = luma + (blue * 29049 + 8192 >> 14)
    return torch.stack([r, g, b], 1).clamp(0, 255).to(torch.uint8)


def _clahe(x: torch.Tensor, clips: list[float]) -> torch.Tensor:
    """uint8 [b, h, w] -> the same."""
    height, width = x.shape[1:]
    tables, (tall, wide) = _tables(x, clips)
    # Where a pixel lies among the tiles' centres, and how far from the one before.
    rows, down = _between(height, tall, x.device)
    columns, across = _between(width, wide, x.device)
    down, across = down[:, None], across[None, :]
    pictures = torch.arange(len(x), device=x.device)[:, None, None]
    level = x.long()

    def said_by(row: torch.Tensor, column: torch.Tensor) -> torch.Tensor:
        return tables[pictures, row[:, None], column[None, :], level].float()

    above = said_by(rows[0], columns[0]) * (1 - across) + said_by(rows[0], columns[1]) * across
    below = said_by(rows[1], columns[0]) * (1 - across) + said_by(rows[1], columns[1]) * across
    return (above * (1 - down) + below * down).round_().to(torch.uint8)


def _tables(x: torch.Tensor, clips: list[float]) -> tuple[torch.Tensor, tuple[int, int]]:
    """Each tile's table, uint8 [b, TILES, TILES, 256], and a tile's height and width."""
    b, height, width = x.shape
    if height % TILES or width % TILES:
        more = (0, TILES - width % TILES, 0, TILES - height % TILES)
        x = F.pad(x[:, None].float(), more, mode="reflect")[:, 0].to(torch.uint8)
    tall, wide = x.shape[1] // TILES, x.shape[2] // TILES
    area = tall * wide
    # (b, h, w) -> (b, tile row, tile column, pixels)
    tiles = x.view(b, TILES, tall, TILES, wide).transpose(2, 3).reshape(b, TILES, TILES, area)
    counts = torch.zeros((b, TILES, TILES, 256), dtype=torch.int32, device=x.device)
    counts.scatter_add_(3, tiles.long(), torch.ones_like(tiles, dtype=torch.int32))
    limits = torch.tensor([max(int(clip * area / 256), 1) for clip in clips], device=x.device)
    limit = limits[:, None, None, None]
    excess = (counts - limit).clamp(min=0).sum(3, keepdim=True)
    counts = torch.minimum(counts, limit) + excess // 256
    # What is left over goes to bins that far apart, from the first on.
    left = excess % 256
    apart = 256 // left.clamp(min=1)
    bins = torch.arange(256, device=x.device)
    counts += (bins % apart == 0) & (bins // apart < left)
    # cv2 multiplies by a float32; round half to even, as it does
    scale = torch.tensor(255 / area, dtype=torch.float32, device=x.device)
    return (counts.cumsum(3).float() * scale).round().clamp(max=255).to(torch.uint8), (tall, wide)


def _between(
    size: int, tile: int, device: torch.device
) -> tuple[tuple[torch.Tensor, torch.Tensor], torch.Tensor]:
    """The tiles before and after each pixel of a side, and the share of the one after."""
    at = torch.arange(size, device=device) * torch.tensor(1 / tile, device=device) - 0.5
    first = at.floor()
    before, after = first.clamp(min=0).long(), (first + 1).clamp(max=TILES - 1).long()
    return (before, after), at - first
