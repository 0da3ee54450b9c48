"""Strong augmentation: fields composed and resampled once, against a resampling for each warp.

    python -m tests.bench augment

Both sides make the same draws and the same blurs, gamma and dropout; they differ in the warps only,
of which half of the pictures have two. The first peer keeps our coarse fields; the second works
its fields out for every pixel, as augmentation libraries do.
"""

from __future__ import annotations

from pathlib import Path
from unittest.mock import patch

import cv2
import numpy as np

from data_sharding.phantom.rendering import render
from data_sharding.phantom.stories import tell
from data_sharding.phantom.vendors import PUBLIC
from tests.bench.harness import Row, alternate, clock, ms
from training import augmentation as augment

NODES = 17  # of the coarse grid in training.augmentation.warp


def resample(image: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Read `image` at the places (x, y) in [-1, 1], given for each pixel or on a coarse grid."""
    height, width = image.shape
    map_x = ((x + 1) * (width - 1) / 2).astype(np.float32)
    map_y = ((y + 1) * (height - 1) / 2).astype(np.float32)
    if x.shape != image.shape:
        step_x = np.linspace(0, x.shape[1] - 1, width, dtype=np.float32)
        step_y = np.linspace(0, x.shape[0] - 1, height, dtype=np.float32)
        at_x, at_y = np.meshgrid(step_x, step_y)
        map_x = cv2.remap(map_x, at_x, at_y, cv2.INTER_LINEAR)
        map_y = cv2.remap(map_y, at_x, at_y, cv2.INTER_LINEAR)
    return cv2.remap(image, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)


def one_by_one(image: np.ndarray, rng: np.random.Generator, coarse: bool) -> np.ndarray:
    """The warps of `augment.warp`, each with its own field and its own resampling."""
    height, width = (NODES, NODES) if coarse else image.shape
    across, down = np.linspace(-1, 1, width), np.linspace(-1, 1, height)
    y, x = np.meshgrid(down, across, indexing="ij")
    distortion = None
    if rng.random() < 0.5:
        kinds = augment.grid_distortion, augment.elastic, augment.optical_distortion
        distortion = kinds[rng.integers(3)](x, y, rng)
    # A composed field reads the shifted picture at the distorted places: shift first.
    image = resample(image, *augment.shift_scale_rotate(x, y, rng))
    return resample(image, *distortion) if distortion else image


def many(images: list[np.ndarray]) -> list[np.ndarray]:
    return [augment.augment(x, "strong", 0, 0, str(i)) for i, x in enumerate(images)]


def many_one_by_one(images: list[np.ndarray], coarse: bool) -> list[np.ndarray]:
    with patch.object(augment, "warp", lambda image, rng: one_by_one(image, rng, coarse)):
        return many(images)


def radiograph(size: int) -> np.ndarray:
    story = tell(0, PUBLIC, 0)
    picture = render(story, story.shots[0], PUBLIC, seed=0, size=512).toned
    return (cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA) * 255).astype(np.uint8)


def run(folder: Path) -> list[Row]:
    rows = []
    for size, n in ((512, 100), (128, 400)):
        images = [radiograph(size)] * n
        composed = many(images)
        for coarse in (True, False):
            apart = [
                np.abs(a.astype(int) - b).mean()
                for a, b in zip(composed, many_one_by_one(images, coarse), strict=True)
            ]
            assert np.median(apart) < 1, f"{np.median(apart):.1f} grey levels apart"
            # one warp is the same arithmetic; a field for each pixel is rounded otherwise
            assert not coarse or np.mean(np.array(apart) == 0) > 0.3, "single warps differ"
        times = alternate(
            {
                "ours": clock(lambda x=images: many(x), n),
                "coarse": clock(lambda x=images: many_one_by_one(x, True), n),
                "full": clock(lambda x=images: many_one_by_one(x, False), n),
            }
        )
        what, mine = f"strong augmentation at {size}x{size}, a picture", ms(times.median("ours"))
        rows += [
            Row(
                what,
                mine,
                f"each its own remap, coarse fields {ms(times.median('coarse'))}",
                times.ratio("coarse", "ours"),
            ),
            Row(
                what,
                mine,
                f"each its own remap, full fields {ms(times.median('full'))}",
                times.ratio("full", "ours"),
            ),
        ]
    return rows
