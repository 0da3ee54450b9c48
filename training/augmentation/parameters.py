"""What was drawn for one picture, and what it does to that picture on a CPU.

Drawing is apart from doing, so that the same draw can be done in batch where the model is
(`device`). The order is that of the fields below.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from training.augmentation import warp
from training.augmentation.blur import Smoothing
from training.augmentation.dropout import Holes
from training.augmentation.tone import Tone, equalise


@dataclass(frozen=True, eq=False)
class Parameters:
    """Of one sample at one draw; what is None or False is not done."""

    mirror: bool = False  # left to right
    upset: bool = False  # top to bottom
    nodes: np.ndarray | None = None  # float64 [2, 17, 17], where to read x and y, in [-1, 1]
    smoothing: Smoothing | None = None
    clahe: float | None = None  # how many times the mean a bin may hold
    tone: Tone | None = None
    holes: Holes | None = None

    def apply(self, image: np.ndarray) -> np.ndarray:
        """uint8 or uint16 [H, W] or [H, W, 3] -> the same; the one given is never written to.

        Raises:
            ValueError: CLAHE was drawn, for a picture of 16 bits.
        """
        check_depth(self, image.dtype == np.uint16)
        given = image
        if self.mirror or self.upset:
            image = cv2.flip(image, -1 if self.mirror and self.upset else int(self.mirror))
        if self.nodes is not None:
            image = warp.resample(image, self.nodes)
        if self.smoothing:
            image = self.smoothing(image)
        if self.clahe is not None:
            image = equalise(image, self.clahe)
        if self.tone:
            image = self.tone(image)
        if self.holes:
            image = image.copy() if image is given else image
            self.holes.cut(image)
        return image


def check_depth(drawn: Parameters, deep: bool) -> None:
    """ValueError for what is not done to pictures of 16 bits, if it was drawn for one."""
    if deep and drawn.clahe is not None:
        raise ValueError("CLAHE (face) is for photographs of 8 bits: take li, strong, weak, none")
