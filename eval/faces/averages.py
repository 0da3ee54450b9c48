"""The mean of many faces: each is bent so that its points lie where the mean's do, then averaged.

An average of at least `FEWEST` people shows what a class has in common and nobody in particular.
Points of the mean are those of the class, so that the shape of its faces is in the picture too.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import Delaunay

#: Of fewer people there is no average to be shown.
FEWEST = 10


class Bend:
    """From any face onto one set of points: piecewise affine over their Delaunay triangles."""

    def __init__(self, points: NDArray, size: int) -> None:
        """`points` [P, 2] in pixels of a picture of `size`, the first pixel's middle at 0.5."""
        mesh = Delaunay(np.asarray(points, np.float64))
        middle = np.arange(size) + 0.5
        grid = np.stack(np.meshgrid(middle, middle), axis=-1).reshape(-1, 2)
        triangle = mesh.find_simplex(grid)
        self.inside = triangle >= 0
        turn = mesh.transform[triangle[self.inside]]
        # weights of a triangle's corners at each pixel inside: (pixels, 3)
        two = np.einsum("nij,nj->ni", turn[:, :2], grid[self.inside] - turn[:, 2])
        self.weights = np.concatenate([two, 1 - two.sum(axis=1, keepdims=True)], axis=1)
        self.corners = mesh.simplices[triangle[self.inside]]
        self.size = size

    def __call__(self, picture: NDArray, points: NDArray) -> NDArray:
        """A picture [H, W(, C)] whose face has `points` [P, 2], bent: [size, size(, C)]."""
        at = np.full((self.size * self.size, 2), -2.0, np.float32)  # outside: black
        at[self.inside] = np.einsum("nc,ncd->nd", self.weights, points[self.corners]) - 0.5
        x, y = np.ascontiguousarray(at.reshape(self.size, self.size, 2).transpose(2, 0, 1))
        return cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)


def average(
    pictures: Sequence[NDArray], points: Sequence[NDArray], size: int, people: int
) -> NDArray[np.float64] | None:
    """The mean face [size, size(, C)], or None of fewer than `FEWEST` people.

    Args:
        pictures: [H, H(, C)], one of each person.
        points: of each picture [P, 2 or 3], in its pixels.
        size: of the result.
        people: how many different ones they are of.

    Raises:
        ValueError: lists of different lengths.
    """
    if len(pictures) != len(points):
        raise ValueError(f"{len(pictures)} pictures and points of {len(points)}")
    if people < FEWEST:
        return None
    flat = [np.asarray(p, np.float64)[:, :2] for p in points]
    scaled = [p * size / picture.shape[0] for p, picture in zip(flat, pictures, strict=True)]
    bend = Bend(np.mean(scaled, axis=0), size)
    total: NDArray[np.float64] = np.zeros((size, size, *pictures[0].shape[2:]))
    for picture, own in zip(pictures, flat, strict=True):
        total += bend(picture, own)
    return total / len(pictures)
