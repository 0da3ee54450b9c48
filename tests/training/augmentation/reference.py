"""What albumentations 2.0.8 does to pictures, as statistics: what our transforms are held against.

    make bench                                                            # installs it, apart
    PYTHONPATH=.venv/peers python -m tests.training.augmentation.reference    # writes the JSON

albumentations is not among what OsteoRay installs (it is no longer maintained, its successor is
under the AGPL), so that its numbers lie in reference.json, with its version. test_reference.py
holds ours against them, and makes them anew where the library can be imported.

Geometry: each draw warps a picture of coordinates, (x, y, 1); how far a pixel was moved is read
off, where the third channel says that it came from within the picture. Tone, blur and dropout: each
draw changes one textured picture; the statistic is the mean absolute change in grey levels.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

HERE = Path(__file__).parent / "reference.json"
DRAWS = 400
SIDE = 128  # of the picture of coordinates
#: What is done to a picture, the n-th time
Apply = Callable[[np.ndarray], np.ndarray]


@cache
def coordinates() -> np.ndarray:
    """float32 [SIDE, SIDE, 3]: x and y in shares of the side, and 1."""
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32) / (SIDE - 1)
    return np.stack([x, y, np.ones_like(x)], 2)


@cache
def texture(channels: int = 1) -> np.ndarray:
    """uint8 [256, 256], or [256, 256, 3] in the hue of skin: noise at several scales."""
    rng = np.random.default_rng(0)
    noise = np.zeros((256, 256), np.float32)
    for sigma in (1, 3, 9, 27):
        layer = cv2.GaussianBlur(rng.normal(size=noise.shape).astype(np.float32), (0, 0), sigma)
        noise += layer / layer.std()
    grey = np.clip(120 + 30 * noise, 0, 255)
    if channels == 3:
        grey = grey[..., None] * np.array([1, 0.75, 0.65])
    return grey.astype(np.uint8)


def summary(values: np.ndarray) -> dict[str, float]:
    """Mean, standard deviation and quantiles."""
    low, middle, high = np.quantile(values, (0.05, 0.5, 0.95))
    found = {"mean": values.mean(), "sd": values.std(), "q05": low, "q50": middle, "q95": high}
    return {name: float(f"{value:.5g}") for name, value in found.items()}


def displacement(apply: Apply, draws: int = DRAWS) -> dict[str, float]:
    """How far pixels move, in sides of the picture; and the share of it that is filled."""
    at, moved, filled = coordinates(), [], []
    for _ in range(draws):
        out = apply(at)
        known = out[..., 2] > 0.999
        moved.append(np.hypot(*(out - at)[known][:, :2].T))
        filled.append(known.mean())
    return summary(np.concatenate(moved)) | {"filled": round(float(np.mean(filled)), 4)}


def change(apply: Apply, draws: int = DRAWS, channels: int = 1) -> dict[str, float]:
    """How far grey levels move, on average over a picture; and the mean level after."""
    picture = texture(channels)
    after = [apply(picture).astype(np.float32) for _ in range(draws)]
    moved = np.array([np.abs(out - picture).mean() for out in after])
    return summary(moved) | {"level": round(float(np.mean([out.mean() for out in after])), 2)}


#: Amplitudes as near to ours as theirs can be set; names without one of ours are their defaults.
GEOMETRY = (
    *("shift-scale-rotate", "grid distortion", "elastic", "optical distortion", "face affine"),
    *("rotation", "crop-scale"),
)
CHANGE = {"blur": 1, "motion blur": 1, "median blur": 1, "gamma": 1, "grid dropout": 1}
CHANGE |= {"CLAHE": 1, "CLAHE of RGB": 3}  # name -> channels
DEFAULTS = ("elastic", "grid distortion", "optical distortion")


def peers(side: int = SIDE) -> dict[str, Any]:
    """Ours by name -> theirs, for pictures of `side`; ImportError where albumentations is not."""
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # it would ask a server for its newest version
    import albumentations as A  # pyright: ignore

    return {
        "flip": A.HorizontalFlip(p=0.5),
        "blur": A.Blur((3, 5), p=1),
        "motion blur": A.MotionBlur((3, 5), direction_range=(0, 0), allow_shifted=False, p=1),
        "median blur": A.MedianBlur((3, 5), p=1),
        "shift-scale-rotate": A.Affine(
            scale=(0.9, 1.1), translate_percent=(-0.06, 0.06), rotate=(-10, 10), p=1
        ),
        "grid distortion": A.GridDistortion(5, 0.3, p=1),
        # Theirs is noise of every pixel, smoothed: alpha and sigma are set such that half of the
        # pixels move as far as with ours. A border moves farther: there the noise is replicated.
        "elastic": A.ElasticTransform(alpha=0.0176 * side**2, sigma=side / 16, p=1),
        # k (r^2 + r^4) with r = 1/2 at the middle of an edge, where ours has k r^2 with r = 1.
        "optical distortion": A.OpticalDistortion(0.33, p=1),
        "gamma": A.RandomGamma((80, 125), p=1),
        "grid dropout": A.GridDropout(0.5, unit_size_range=(side // 8, side // 4), p=1),
        "face affine": A.Affine(
            scale=(0.9, 1.1), translate_percent=(-0.05, 0.05), rotate=(-10, 10), p=1
        ),
        "CLAHE": A.CLAHE((1, 3), p=1),
        "CLAHE of RGB": A.CLAHE((1, 3), p=1),
        "rotation": A.Rotate(10, border_mode=cv2.BORDER_CONSTANT, p=1),
        "crop-scale": A.RandomResizedCrop((side, side), (0.85**2, 1), (1, 1), p=1),
        "elastic at its defaults": A.ElasticTransform(p=1),
        "grid distortion at its defaults": A.GridDistortion(p=1),
        "optical distortion at its defaults": A.OpticalDistortion(p=1),
    }


def measure() -> dict[str, Any]:
    """The statistics of albumentations, from its seed 0."""
    import albumentations as A  # pyright: ignore

    found: dict[str, Any] = {}

    def seeded(name: str, side: int) -> Apply:
        pipeline = A.Compose([peers(side)[name]], seed=0)
        return lambda image: pipeline(image=image)["image"]

    for name in (*GEOMETRY, *(f"{name} at its defaults" for name in DEFAULTS)):
        found[name] = displacement(seeded(name, SIDE))
    for name, channels in CHANGE.items():
        found[name] = change(seeded(name, texture().shape[0]), channels=channels)
    return {"version": A.__version__, "draws": DRAWS, "of": found}


if __name__ == "__main__":
    HERE.write_text(json.dumps(measure(), indent=1) + "\n")
    print(HERE)
