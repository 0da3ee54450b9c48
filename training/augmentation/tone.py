"""Grey levels: gamma, contrast and brightness as one table; adaptive equalisation of tiles."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from training.augmentation.random import Rng

TILES = 8  # of CLAHE, a side


@dataclass(frozen=True)
class Tone:
    """What is drawn: v -> (v^gamma - 1/2) contrast + 1/2 + brightness, v from 0 to 1, clipped."""

    gamma: float
    contrast: float = 1.0
    brightness: float = 0.0

    def table(self, dtype: npt.DTypeLike) -> np.ndarray:
        """Grey level -> grey level: [256] of uint8 or [65536] of uint16, rounded once."""
        top = (1 << 8 * np.dtype(dtype).itemsize) - 1
        v = (np.arange(top + 1) / top) ** self.gamma
        if (self.contrast, self.brightness) != (1, 0):
            v = np.clip((v - 0.5) * self.contrast + 0.5 + self.brightness, 0, 1)
        return np.round(top * v).astype(dtype)

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """uint8 or uint16 -> the same, a new picture."""
        return cv2.LUT(image, self.table(image.dtype))


def gamma(rng: Rng, by: float = 1.0) -> Tone:
    """v -> v^g with g in [.8, 1.25], log-uniform; `by` as strong."""
    return Tone(float(np.exp(rng.uniform(np.log(0.8) * by, np.log(1.25) * by))))


def jitter(rng: Rng, by: float = 1.0) -> Tone:
    """Brightness +- .1, contrast times .85 to 1.15 about mid-grey, and gamma; `by` as strong."""
    brightness = rng.uniform(-0.1 * by, 0.1 * by)
    contrast = rng.uniform(1 - 0.15 * by, 1 + 0.15 * by)
    return Tone(gamma(rng, by).gamma, contrast, brightness)


def equalise(image: np.ndarray, clip: float) -> np.ndarray:
    """Contrast-limited adaptive histogram equalisation (Zuiderveld 1994) of 8x8 tiles.

    uint8 [H, W], or [H, W, 3] as RGB, of which the luma changes and the colour differences stay.
    `clip` is how many times the mean a bin may hold.
    """
    clahe = cv2.createCLAHE(clip, (TILES, TILES))
    if image.ndim == 2:
        return clahe.apply(image)
    luma = cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb)
    luma[..., 0] = clahe.apply(luma[..., 0])
    return cv2.cvtColor(luma, cv2.COLOR_YCrCb2RGB)
