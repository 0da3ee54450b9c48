"""Grey levels: tables for gamma, brightness and contrast; adaptive equalisation of tiles."""

from __future__ import annotations

import cv2
import numpy as np

from training.augmentation.random import Rng

TILES = 8  # of CLAHE, a side


def gamma(rng: Rng) -> np.ndarray:
    """v -> 255 (v/255)^g with g in [.8, 1.25], log-uniform: a table, uint8 [256]."""
    g = np.exp(rng.uniform(np.log(0.8), np.log(1.25)))
    return np.round(255 * (np.arange(256) / 255) ** g).astype(np.uint8)


def jitter(rng: Rng) -> np.ndarray:
    """Brightness +- .1, contrast times .85 to 1.15 about mid-grey, and gamma: a table."""
    brightness, contrast = rng.uniform(-0.1, 0.1), rng.uniform(0.85, 1.15)
    v = gamma(rng) / 255
    return np.round(255 * np.clip((v - 0.5) * contrast + 0.5 + brightness, 0, 1)).astype(np.uint8)


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
