"""Geometry: every transform is a field of places to read at; fields are composed, then read once.

A field is given at 17x17 nodes, corner to corner, and is bilinear in between: an affine is exact,
a distortion is as smooth as the strokes of a radiograph need. Resampling once keeps edges sharper
than a resampling for each transform, and costs one. Of the time, nearly all is cv2.remap; the map
for it is made here in a tenth of what cv2 takes to enlarge the nodes, with the same bits.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import cv2
import numpy as np

from data_sharding.compiled import compiled
from training.augmentation.random import Rng

NODES = 17  # a side
#: x and y in [-1, 1] where a picture is to be read: float64 [NODES, NODES] each
Field = tuple[np.ndarray, np.ndarray]


@cache
def identity() -> Field:
    """Reads every pixel where it is. Nothing may write to it."""
    y, x = np.meshgrid(np.linspace(-1, 1, NODES), np.linspace(-1, 1, NODES), indexing="ij")
    x.flags.writeable = y.flags.writeable = False
    return x, y


def similarity(
    field: Field, rng: Rng, aspect: float, degrees: float, zoom: float, shift: float
) -> Field:
    """Rotate, scale by 1 +- `zoom`, shift by a share of the sides: each uniform, to both sides.

    `aspect` is height / width, so that a rotation is one in pixels too.
    """
    x, y = field
    angle = np.deg2rad(rng.uniform(-degrees, degrees))
    scale = rng.uniform(1 - zoom, 1 + zoom)
    dx, dy = rng.uniform(-2 * shift, 2 * shift, 2)
    c, s = np.cos(angle) / scale, np.sin(angle) / scale
    return c * x - s * aspect * y + dx, s / aspect * x + c * y + dy


def crop(field: Field, rng: Rng, least: float) -> Field:
    """A part of the picture, enlarged to all of it: `least` to 1 of each side, anywhere in it."""
    side = rng.uniform(least, 1)
    dx, dy = rng.uniform(side - 1, 1 - side, 2)
    return side * field[0] + dx, side * field[1] + dy


def grid_distortion(field: Field, rng: Rng, by: float = 1.0) -> Field:
    """Stretch five columns and five rows by up to 30% each; the borders stay. `by` as strong."""

    def stretch(v: np.ndarray) -> np.ndarray:
        widths = rng.uniform(1 - 0.3 * by, 1 + 0.3 * by, 5)
        edges = np.concatenate([[0], np.cumsum(widths)]) / widths.sum()
        return np.interp(v, np.linspace(-1, 1, 6), 2 * edges - 1)

    return stretch(field[0]), stretch(field[1])


def elastic(field: Field, rng: Rng, by: float = 1.0) -> Field:
    """Smooth random displacement: cubic between 5x5 control points, standard deviation 2.5%, `by`
    as strong."""

    def push(v: np.ndarray) -> np.ndarray:
        control = rng.normal(0, 0.05 * by, (5, 5)).astype(np.float32)
        return v + cv2.resize(control, v.shape[::-1], interpolation=cv2.INTER_CUBIC)

    return push(field[0]), push(field[1])


def optical_distortion(field: Field, rng: Rng, by: float = 1.0) -> Field:
    """Barrel or pincushion: r -> r (1 + k r^2) with |k| <= .1, r = 1 at the middle of an edge; `by`
    as strong."""
    x, y = field
    factor = 1 + rng.uniform(-0.1 * by, 0.1 * by) * (x**2 + y**2)
    return x * factor, y * factor


def resample(image: np.ndarray, nodes: np.ndarray) -> np.ndarray:
    """Read `image` [H, W] or [H, W, C] at `nodes` (float64 [2, NODES, NODES]); black outside."""
    at = maps(nodes, *image.shape[:2])
    return cv2.remap(image, at[0], at[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)


def maps(nodes: np.ndarray, height: int, width: int) -> np.ndarray:
    """Nodes -> float32 [2, height, width], x and y in pixels."""
    far = np.array([width - 1, height - 1])[:, None, None]
    # One more node at each far end, of no weight: the last pixel lies on the last node.
    coarse = np.zeros((2, NODES + 1, NODES + 1), np.float32)
    coarse[:, :NODES, :NODES] = (nodes + 1) * far / 2
    out = np.empty((2, height, width), np.float32)
    _enlarge(coarse, *_cells(width), *_cells(height), out)
    return out


@cache
def _cells(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Node (i, j) lies at pixel (i, j) * (size - 1) / (NODES - 1): each cell's first pixel, and
    how far into its cell every pixel lies (0 to 1)."""
    step = np.linspace(0, NODES - 1, size, dtype=np.float32)
    cell = step.astype(np.int64)
    return np.searchsorted(cell, np.arange(NODES + 1)), step - cell.astype(np.float32)


# With fused multiply-add, as cv2 does it, the map has the bits that cv2.remap of the nodes has.
@compiled(fastmath={"contract"})
def _enlarge(nodes: Any, left: Any, in_x: Any, top: Any, in_y: Any, out: Any) -> None:
    """Bilinear: between two rows of nodes, every row of the map is a mean of the same two."""
    cells, width = nodes.shape[1] - 1, out.shape[2]
    above, change = np.empty(width, np.float32), np.empty(width, np.float32)
    for axis in range(2):
        for i in range(cells):
            for k in range(cells):
                a, c = nodes[axis, i, k], nodes[axis, i + 1, k]
                b, d = nodes[axis, i, k + 1] - a, nodes[axis, i + 1, k + 1] - c
                for x in range(left[k], left[k + 1]):
                    above[x] = a + in_x[x] * b
                    change[x] = c + in_x[x] * d - above[x]
            for y in range(top[i], top[i + 1]):
                for x in range(width):
                    out[axis, y, x] = above[x] + in_y[y] * change[x]
