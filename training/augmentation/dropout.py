"""Grid dropout: black squares, so that no single place can carry the answer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.augmentation.random import Rng


@dataclass(frozen=True)
class Holes:
    """Squares of half a `unit` a side, one in each square unit of a grid that begins anywhere."""

    unit: int
    top: int
    left: int

    def along(self, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
        """Which rows and which columns have holes where they cross, bool [height], [width]."""
        rows = (np.arange(height) + self.top) % self.unit < self.unit // 2
        columns = (np.arange(width) + self.left) % self.unit < self.unit // 2
        return rows, columns

    def cut(self, image: np.ndarray) -> None:
        """Blacken uint8 or uint16 [H, W] or [H, W, C], in place: a band of rows at a time."""
        height, width = image.shape[:2]
        _, columns = self.along(height, width)
        keep = (~columns).astype(np.uint8).reshape(width, *[1] * (image.ndim - 2))
        for first in range(-self.top, height, self.unit):
            band = image[max(first, 0) : max(first + self.unit // 2, 0)]
            np.multiply(band, keep, out=band)


def grid_dropout(rng: Rng, width: int) -> Holes:
    """4 to 8 units a side, and where the first of them begins."""
    unit = max(2, width // int(rng.integers(4, 9)))
    top, left = rng.integers(0, unit, 2)
    return Holes(unit, int(top), int(left))
