"""A square of a photograph under a similarity transform: turned, moved, scaled, nothing else.

    photo = Levels(rgb)                         # halved as often as somebody asks for it
    frame = Frame(x, y, side, degrees)          # a square in the photograph, upright face in it
    square = sample(photo, frame, 192)          # uint8 [192, 192, 3]
    points = frame.inverse(192) @ [u, v, 1]     # from the square back to the photograph

Coordinates are in pixels with the edge of the first pixel at 0 and its middle at 0.5, as
MediaPipe's are. Where the square is made smaller, areas are averaged first: no aliasing, however
many megapixels there are. Halves are averages of areas too and cost a tenth of other factors, so
12 megapixels are halved once for everybody.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]


class Levels:
    """A photograph, uint8 [H, W, 3], its half, its quarter, and so on, made when asked for."""

    def __init__(self, rgb: Pixels) -> None:
        assert rgb.dtype == np.uint8
        assert rgb.ndim == 3
        assert rgb.shape[2] == 3
        self._levels = [rgb]

    @property
    def height(self) -> int:
        """Of the photograph, in pixels."""
        return self._levels[0].shape[0]

    @property
    def width(self) -> int:
        """Of the photograph, in pixels."""
        return self._levels[0].shape[1]

    def for_scale(self, scale: float) -> tuple[Pixels, int]:
        """The smallest level that need not be enlarged to be drawn at `scale`, and its factor.

        A pixel of the level is factor x factor pixels of the photograph; an odd row or column at
        the end is left out.
        """
        n = 0
        while scale * 2 ** (n + 1) <= 1 and min(self._levels[n].shape[:2]) >= 2:
            if n + 1 == len(self._levels):
                rows, columns = (side // 2 for side in self._levels[n].shape[:2])
                even = self._levels[n][: 2 * rows, : 2 * columns]
                self._levels.append(area(even, columns, rows))
            n += 1
        return self._levels[n], 2**n


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


def area(rgb: Pixels, columns: int, rows: int) -> Pixels:
    """`rgb` at another size by area averages."""
    return np.asarray(cv2.resize(rgb, (columns, rows), interpolation=cv2.INTER_AREA), np.uint8)


def sample(photo: Levels, frame: Frame, size: int) -> Pixels:
    """The square `frame` of the photograph as uint8 [size, size, 3]; black beyond its edges."""
    matrix = frame.matrix(size)
    scale = size / frame.side
    rgb, factor = photo.for_scale(scale)
    matrix[:, :2] *= factor
    if scale * factor < 1:
        rgb, matrix = _reduced(rgb, frame, factor, matrix, scale * factor)
        if not rgb.size:
            return np.zeros((size, size, 3), np.uint8)
    # to cv2's coordinates, whose 0 is the first pixel's middle
    shifted = np.c_[matrix[:, :2], matrix[:, 2] + matrix[:, :2] @ (0.5, 0.5) - 0.5]
    return np.asarray(cv2.warpAffine(rgb, shifted, (size, size), flags=cv2.INTER_LINEAR), np.uint8)


def _reduced(
    rgb: Pixels, frame: Frame, factor: int, matrix: Floats, scale: float
) -> tuple[Pixels, Floats]:
    """The part of a level under the square by area averages, about as large as it will be drawn.

    `matrix`, [2, 3], maps the level's coordinates to the square's; returned is the part's.
    """
    height, width = rgb.shape[:2]
    reach = (
        frame.side / factor * 0.7072 + 2 / scale
    )  # half a diagonal, and what interpolation reads
    x, y = frame.x / factor, frame.y / factor
    left, right = (round(min(max(x + d * reach, 0), width)) for d in (-1, 1))
    top, bottom = (round(min(max(y + d * reach, 0), height)) for d in (-1, 1))
    part = rgb[top:bottom, left:right]
    if not part.size:
        return part, matrix
    columns, rows = (max(1, round(n * scale)) for n in (right - left, bottom - top))
    grow = np.diag([(right - left) / columns, (bottom - top) / rows])
    moved = matrix[:, :2] @ (left, top) + matrix[:, 2]
    return area(part, columns, rows), np.c_[matrix[:, :2] @ grow, moved]
