"""What was drawn for one picture, and what it does to that picture on a CPU.

Drawing is apart from doing, so that the same draw can be done in batch where the model is
(`device`). The order is that of the fields below.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from training.augmentation import tone, warp
from training.augmentation.blur import Smoothing
from training.augmentation.dropout import Holes


@dataclass(frozen=True, eq=False)
class Parameters:
    """Of one sample at one draw; what is None or False is not done."""

    mirror: bool = False  # left to right
    upset: bool = False  # top to bottom
    nodes: np.ndarray | None = None  # float64 [2, 17, 17], where to read x and y, in [-1, 1]
    smoothing: Smoothing | None = None
    clahe: float | None = None  # how many times the mean a bin may hold
    table: np.ndarray | None = None  # uint8 [256], grey level -> grey level
    holes: Holes | None = None

    def apply(self, image: np.ndarray) -> np.ndarray:
        """uint8 [H, W] or [H, W, 3] -> the same shape; the picture given is never written to."""
        given = image
        if self.mirror or self.upset:
            image = cv2.flip(image, -1 if self.mirror and self.upset else int(self.mirror))
        if self.nodes is not None:
            image = warp.resample(image, self.nodes)
        if self.smoothing:
            image = self.smoothing(image)
        if self.clahe is not None:
            image = tone.equalise(image, self.clahe)
        if self.table is not None:
            image = cv2.LUT(image, self.table)
        if self.holes:
            image = image.copy() if image is given else image
            self.holes.cut(image)
        return image
