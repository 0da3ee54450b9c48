"""A square of a picture under a similarity transform: turned, moved, scaled, nothing else.

    frame = Frame(x, y, side, degrees)          # a square in the photograph, upright face in it
    square = sample(rgb, frame, 192)            # uint8 [192, 192, 3]
    points = frame.inverse(192) @ [u, v, 1]     # from the square back to the photograph

Coordinates are in pixels with the edge of the first pixel at 0 and its middle at 0.5, as
MediaPipe's are. Where the square is made smaller, areas are averaged first: no aliasing, however
many megapixels there are.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Frame:
    """A square in a picture: its middle, its side in pixels, and its turn, clockwise degrees."""

    x: float
    y: float
    side: float
    degrees: float

    def matrix(self, size: int) -> Floats:
        """[2, 3]: from the picture's coordinates to those of the square drawn `size` wide."""
        scale = size / self.side
        turn = np.deg2rad(self.degrees)
        linear = scale * np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
        return np.c_[linear, size / 2 - linear @ (self.x, self.y)]

    def inverse(self, size: int) -> Floats:
        """[2, 3]: from the coordinates of the square drawn `size` wide to the picture's."""
        matrix = self.matrix(size)
        back = np.linalg.inv(matrix[:, :2])
        return np.c_[back, -back @ matrix[:, 2]]


def sample(rgb: Pixels, frame: Frame, size: int) -> Pixels:
    """The square `frame` of `rgb` (uint8 [H, W, 3]) as uint8 [size, size, 3]; black beyond it."""
    matrix = frame.matrix(size)
    scale = size / frame.side
    if scale < 1:
        rgb, matrix = _reduced(rgb, frame, matrix, scale)
        if not rgb.size:
            return np.zeros((size, size, 3), np.uint8)
    # to cv2's coordinates, whose 0 is the first pixel's middle
    shifted = np.c_[matrix[:, :2], matrix[:, 2] + matrix[:, :2] @ (0.5, 0.5) - 0.5]
    return np.asarray(cv2.warpAffine(rgb, shifted, (size, size), flags=cv2.INTER_LINEAR), np.uint8)


def _reduced(rgb: Pixels, frame: Frame, matrix: Floats, scale: float) -> tuple[Pixels, Floats]:
    """The part of `rgb` under the square by area averages, about as large as it will be drawn."""
    height, width = rgb.shape[:2]
    reach = frame.side * 0.7072 + 2 / scale  # half a diagonal, and what interpolation reads
    left, right = (round(min(max(frame.x + d * reach, 0), width)) for d in (-1, 1))
    top, bottom = (round(min(max(frame.y + d * reach, 0), height)) for d in (-1, 1))
    part = rgb[top:bottom, left:right]
    if not part.size:
        return part, matrix
    columns, rows = (max(1, round(n * scale)) for n in (right - left, bottom - top))
    small = cv2.resize(part, (columns, rows), interpolation=cv2.INTER_AREA)
    grow = np.diag([(right - left) / columns, (bottom - top) / rows])
    # reduced -> picture -> square
    moved = matrix[:, :2] @ (left, top) + matrix[:, 2]
    return np.asarray(small, np.uint8), np.c_[matrix[:, :2] @ grow, moved]
