"""Crops of pictures, as large as the picture again, each with its place remembered.

CRAFT (Fel et al., CVPR 2023) takes crops of 64 of 224 pixels, one every 51 (int(.8 * 64)). For
other sizes the same shares are taken. With a mask, crops that are mostly outside it are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import interpolate

#: Of a picture's side, and of a crop's side: 64 of 224, and 51 of 64 (rounded down).
CROP, STEP = 64 / 224, 0.8
#: Share of a crop that must lie inside the mask.
INSIDE = 0.5


@dataclass(frozen=True)
class Crops:
    """n crops: `picture`, `left` and `top` int [n] in the input's pixels, and their `side`.

    `outside` crops were left out because they lie mostly outside the mask.
    """

    picture: NDArray[np.int64]
    left: NDArray[np.int64]
    top: NDArray[np.int64]
    side: int
    outside: int = 0

    def __len__(self) -> int:
        return len(self.picture)

    def some(self, which: NDArray) -> Crops:
        """Those of an index or a mask."""
        return Crops(self.picture[which], self.left[which], self.top[which], self.side)


def place(pictures: int, size: tuple[int, int], masks: NDArray[np.bool_] | None = None) -> Crops:
    """The crops of `pictures` pictures of `size` (height, width), row by row.

    Args:
        pictures: how many.
        size: of each.
        masks: bool [pictures, height, width], what counts of each.

    Raises:
        ValueError: the picture is too small to be cropped.
    """
    side = round(CROP * min(size))
    step = int(STEP * side)
    if step < 1:
        raise ValueError(f"a picture of {size[0]} x {size[1]} is too small to be cropped")
    # places: (picture, top, left) -> (n,)
    grid = np.meshgrid(
        np.arange(pictures),
        np.arange(0, size[0] - side + 1, step),
        np.arange(0, size[1] - side + 1, step),
        indexing="ij",
    )
    picture, top, left = (g.ravel() for g in grid)
    every = Crops(picture, left, top, side)
    if masks is None:
        return every
    held = [
        masks[p, y : y + side, x : x + side].mean()
        for p, y, x in zip(picture, top, left, strict=True)
    ]
    inside = np.array(held) >= INSIDE
    kept = every.some(inside)
    return Crops(kept.picture, kept.left, kept.top, side, int((~inside).sum()))


def batches(
    images: torch.Tensor, crops: Crops, size: int
) -> Iterator[tuple[torch.Tensor, NDArray[np.int64]]]:
    """Crops of images [N, C, H, W], resized to H x W, `size` at a time, and whose they are."""
    height, width = images.shape[2:]
    for i in range(0, len(crops), size):
        part = crops.some(np.arange(i, min(i + size, len(crops))))
        cut_out = [
            images[p, :, y : y + crops.side, x : x + crops.side]
            for p, y, x in zip(part.picture, part.top, part.left, strict=True)
        ]
        whole = interpolate(
            torch.stack(cut_out), size=(height, width), mode="bilinear", align_corners=False
        )
        yield whole, part.picture


def one_each(
    amounts: NDArray[np.float64], pictures: NDArray[np.int64], most: int
) -> NDArray[np.int64]:
    """The crops that hold most, at most one of a picture and none that holds nothing; best first.

    Args:
        amounts: [n].
        pictures: int [n], whose each crop is.
        most: how many.
    """
    order = np.argsort(-amounts, kind="stable")
    order = order[amounts[order] > 0]
    _, first = np.unique(pictures[order], return_index=True)
    return order[np.sort(first)[:most]]
