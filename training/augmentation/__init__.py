"""Weak and strong augmentation as pure functions of (seed, draw, sample key).

The same picture comes out for any number of workers and ranks and after any restart, and another
one in every epoch. OsPenScreen names the transforms: weak is a horizontal flip; strong adds Blur,
MotionBlur, MedianBlur, ShiftScaleRotate, GridDistortion, ElasticTransform, OpticalDistortion,
RandomGamma and GridDropout. Amplitudes and probabilities are ours (the paper gives none). Every
geometric transform is a displacement field; the fields are composed and the picture is resampled
once.
"""

from __future__ import annotations

import hashlib

import cv2
import numpy as np

Rng = np.random.Generator


def generator(seed: int, draw: int, key: str) -> Rng:
    """The random stream of one sample at one draw (Philox, keyed by SHA-256)."""
    digest = hashlib.sha256(f"augment/{seed}/{draw}/{key}".encode()).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "little")))


def augment(image: np.ndarray, kind: str, seed: int, draw: int, key: str) -> np.ndarray:
    """uint8 [H, W] -> uint8 [H, W]; `kind` is none, weak or strong.

    `draw` is the epoch, or a finer count where a sample is drawn more often.
    """
    if kind == "none":
        return image
    rng = generator(seed, draw, key)
    image = flip(image, rng)
    return strong(image, rng) if kind == "strong" else image


def flip(image: np.ndarray, rng: Rng) -> np.ndarray:
    """Left to right, half of the time."""
    return np.ascontiguousarray(image[:, ::-1]) if rng.random() < 0.5 else image


def strong(image: np.ndarray, rng: Rng) -> np.ndarray:
    """The nine transforms: one warp, one of three blurs, gamma, grid dropout."""
    image = warp(image, rng)
    if rng.random() < 0.3:
        image = (blur, motion_blur, median_blur)[rng.integers(3)](image, rng)
    if rng.random() < 0.5:
        image = gamma(image, rng)
    if rng.random() < 0.3:
        image = grid_dropout(image, rng)
    return image


def warp(image: np.ndarray, rng: Rng) -> np.ndarray:
    """One of the three distortions (half of the time), then ShiftScaleRotate, resampled once."""
    height, width = image.shape
    # Coordinates in [-1, 1] on a coarse grid; resized to full size they are where to read from.
    n = 17
    y, x = np.meshgrid(np.linspace(-1, 1, n), np.linspace(-1, 1, n), indexing="ij")
    if rng.random() < 0.5:
        x, y = (grid_distortion, elastic, optical_distortion)[rng.integers(3)](x, y, rng)
    x, y = shift_scale_rotate(x, y, rng)
    # Corner to corner: node (i, j) lies at pixel (i, j) * (size - 1) / (n - 1).
    step_x = np.linspace(0, n - 1, width, dtype=np.float32)
    step_y = np.linspace(0, n - 1, height, dtype=np.float32)
    at_x, at_y = np.meshgrid(step_x, step_y)
    coarse_x = ((x + 1) * (width - 1) / 2).astype(np.float32)
    coarse_y = ((y + 1) * (height - 1) / 2).astype(np.float32)
    map_x = cv2.remap(coarse_x, at_x, at_y, cv2.INTER_LINEAR)
    map_y = cv2.remap(coarse_y, at_x, at_y, cv2.INTER_LINEAR)
    return cv2.remap(image, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)


def shift_scale_rotate(x: np.ndarray, y: np.ndarray, rng: Rng) -> tuple[np.ndarray, np.ndarray]:
    """Rotate by up to 10 degrees, scale by up to 10%, shift by up to 6% of the width."""
    angle = np.deg2rad(rng.uniform(-10, 10))
    scale = rng.uniform(0.9, 1.1)
    dx, dy = rng.uniform(-0.12, 0.12, 2)
    c, s = np.cos(angle) / scale, np.sin(angle) / scale
    return c * x - s * y + dx, s * x + c * y + dy


def grid_distortion(x: np.ndarray, y: np.ndarray, rng: Rng) -> tuple[np.ndarray, np.ndarray]:
    """Stretch five columns and five rows by up to 30% each; the borders stay."""

    def stretch(v: np.ndarray) -> np.ndarray:
        widths = rng.uniform(0.7, 1.3, 5)
        edges = np.concatenate([[0], np.cumsum(widths)]) / widths.sum()
        return np.interp(v, np.linspace(-1, 1, 6), 2 * edges - 1)

    return stretch(x), stretch(y)


def elastic(x: np.ndarray, y: np.ndarray, rng: Rng) -> tuple[np.ndarray, np.ndarray]:
    """Smooth random displacement: cubic between 5x5 control points, standard deviation 2.5%."""
    out = []
    for v in (x, y):
        control = rng.normal(0, 0.05, (5, 5)).astype(np.float32)
        out.append(v + cv2.resize(control, v.shape[::-1], interpolation=cv2.INTER_CUBIC))
    return out[0], out[1]


def optical_distortion(x: np.ndarray, y: np.ndarray, rng: Rng) -> tuple[np.ndarray, np.ndarray]:
    """Barrel or pincushion: r -> r (1 + k r^2) with |k| <= .1."""
    factor = 1 + rng.uniform(-0.1, 0.1) * (x**2 + y**2)
    return x * factor, y * factor


def _kernel(image: np.ndarray, rng: Rng) -> int:
    """3 or 5 pixels of a 512 picture; 3 of a small one, where it is wide enough already."""
    return int(rng.choice([3, 5])) if image.shape[1] >= 256 else 3


def blur(image: np.ndarray, rng: Rng) -> np.ndarray:
    """Box of 3 or 5 pixels."""
    size = _kernel(image, rng)
    return cv2.blur(image, (size, size))


def median_blur(image: np.ndarray, rng: Rng) -> np.ndarray:
    """Median of 3x3 or 5x5 (7 costs 14 times as much as 5)."""
    return cv2.medianBlur(image, _kernel(image, rng))


def motion_blur(image: np.ndarray, rng: Rng) -> np.ndarray:
    """A line of 3 or 5 pixels in a random direction."""
    size = _kernel(image, rng)
    kernel = np.zeros((size, size), np.float32)
    angle, r = rng.uniform(0, np.pi), size // 2
    dx, dy = round(r * np.cos(angle)), round(r * np.sin(angle))
    cv2.line(kernel, (r - dx, r - dy), (r + dx, r + dy), 1.0)
    return cv2.filter2D(image, -1, kernel / kernel.sum())


def gamma(image: np.ndarray, rng: Rng) -> np.ndarray:
    """v -> 255 (v/255)^g with g in [.8, 1.25], by a table."""
    g = np.exp(rng.uniform(np.log(0.8), np.log(1.25)))
    table = np.round(255 * (np.arange(256) / 255) ** g).astype(np.uint8)
    return cv2.LUT(image, table)


def grid_dropout(image: np.ndarray, rng: Rng) -> np.ndarray:
    """Black squares on a regular grid: 4 to 8 a side, half as wide as the grid's unit."""
    height, width = image.shape
    unit = max(2, width // int(rng.integers(4, 9)))
    off_y, off_x = rng.integers(0, unit, 2)
    holes_y = (np.arange(height) + off_y) % unit < unit // 2
    holes_x = (np.arange(width) + off_x) % unit < unit // 2
    image = image.copy()
    image[np.ix_(holes_y, holes_x)] = 0
    return image
