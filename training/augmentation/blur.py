"""Smoothing: the mean of a square, the mean of a short line, or the median of a square."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from training.augmentation.random import Rng


@dataclass(frozen=True)
class Smoothing:
    """What is drawn: which of the three, how many pixels wide, and the line's direction."""

    kind: Literal["box", "line", "median"]
    size: int
    angle: float = 0.0  # radians

    def kernel(self) -> np.ndarray:
        """The pixels that are averaged, float32 [size, size] of 0 and 1, odd in number."""
        if self.kind == "box":
            return np.ones((self.size, self.size), np.float32)
        kernel, r = np.zeros((self.size, self.size), np.float32), self.size // 2
        dx, dy = round(r * np.cos(self.angle)), round(r * np.sin(self.angle))
        return cv2.line(kernel, (r - dx, r - dy), (r + dx, r + dy), 1.0)

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """uint8 or uint16 [H, W] or [H, W, C] -> the same, a new picture."""
        if self.kind == "median":
            return cv2.medianBlur(image, self.size)
        if self.kind == "box":
            return cv2.blur(image, (self.size, self.size))
        kernel = self.kernel()
        return cv2.filter2D(image, -1, kernel / kernel.sum())


def _size(rng: Rng, width: int) -> int:
    """3 or 5 pixels of a 512 picture; 3 of a small one, where it is wide enough already."""
    return int(rng.choice([3, 5])) if width >= 256 else 3


def blur(rng: Rng, width: int) -> Smoothing:
    """Box of 3 or 5 pixels."""
    return Smoothing("box", _size(rng, width))


def motion_blur(rng: Rng, width: int) -> Smoothing:
    """A line of 3 or 5 pixels in a random direction."""
    return Smoothing("line", _size(rng, width), rng.uniform(0, np.pi))


def median_blur(rng: Rng, width: int) -> Smoothing:
    """Median of 3x3 or 5x5 (7 costs 14 times as much as 5)."""
    return Smoothing("median", _size(rng, width))
