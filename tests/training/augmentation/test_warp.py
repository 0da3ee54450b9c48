from __future__ import annotations

import cv2
import numpy as np
import pytest
from scipy.interpolate import RegularGridInterpolator
from scipy.ndimage import map_coordinates

from training.augmentation import parameters_of, warp
from training.augmentation.random import generator
from training.augmentation.sets import shift_scale_rotate

DISTORTIONS = [warp.grid_distortion, warp.elastic, warp.optical_distortion]


def nodes(draw: int) -> np.ndarray:
    found = parameters_of("strong", (64, 64), 0, draw, "k").nodes
    assert found is not None
    return found


@pytest.mark.parametrize("field", DISTORTIONS)
def test_each_distortion_moves_something_but_not_far(field):
    x, y = warp.identity()
    moved = []
    for i in range(30):
        x2, y2 = field((x, y), generator(0, i, "k"))
        moved.append(np.hypot(x2 - x, y2 - y).max() / 2)  # in widths of the picture
    assert 0.01 < np.median(moved) < 0.2


def test_grid_distortion_keeps_the_border_and_never_folds():
    for i in range(50):
        x, y = warp.grid_distortion(warp.identity(), generator(0, i, "k"))
        np.testing.assert_allclose(x[:, [0, -1]], [[-1, 1]] * warp.NODES)
        np.testing.assert_allclose(y[[0, -1]], [[-1] * warp.NODES, [1] * warp.NODES])
        assert (np.diff(x, axis=1) > 0).all()
        assert (np.diff(y, axis=0) > 0).all()


@pytest.mark.parametrize(("height", "width"), [(512, 512), (300, 500), (500, 300)])
def test_shift_scale_rotate_is_the_similarity_it_says_in_pixels(height, width):
    for i in range(20):
        field = shift_scale_rotate(warp.identity(), generator(0, i, "k"), height / width)
        x, y = field[0] * width / 2, field[1] * height / 2
        across = np.array([x[0, -1] - x[0, 0], y[0, -1] - y[0, 0]]) / width
        down = np.array([x[-1, 0] - x[0, 0], y[-1, 0] - y[0, 0]]) / height
        assert abs(across @ down) < 1e-9
        scale, angle = 1 / np.hypot(*across), np.degrees(np.arctan2(across[1], across[0]))
        assert scale == pytest.approx(1 / np.hypot(*down))
        assert 0.9 <= scale <= 1.1
        assert abs(angle) <= 10
        assert abs(x.mean()) <= 0.06 * width + 1e-9
        assert abs(y.mean()) <= 0.06 * height + 1e-9


def test_a_crop_lies_within_the_picture():
    for i in range(50):
        x, y = warp.crop(warp.identity(), generator(0, i, "k"), 0.85)
        for v in (x, y):
            assert -1 <= v.min() < v.max() <= 1
            assert 1.7 <= np.ptp(v) <= 2


@pytest.mark.parametrize(("height", "width"), [(512, 512), (48, 48), (97, 130), (17, 16), (9, 7)])
def test_the_map_is_the_bilinear_one_and_what_cv2_makes(height, width):
    for draw in range(8):
        at = warp.maps(nodes(draw), height, width)
        rows, columns = np.linspace(0, 16, height), np.linspace(0, 16, width)
        y, x = np.meshgrid(rows, columns, indexing="ij")
        for axis, size in enumerate((width, height)):
            coarse = (nodes(draw)[axis] + 1) * (size - 1) / 2
            exact = RegularGridInterpolator((np.arange(17),) * 2, coarse)((y, x))
            np.testing.assert_allclose(at[axis], exact, atol=2e-4)
            by_cv2 = cv2.remap(
                coarse.astype(np.float32), x.astype(np.float32), y.astype(np.float32), 1
            )
            # to the bit, on what was tried; a machine without fused multiply-add may round so
            np.testing.assert_allclose(at[axis], by_cv2, rtol=1e-6, atol=1e-4)


@pytest.mark.parametrize("channels", [0, 3])
def test_resampling_is_bilinear_with_black_beyond_the_border(channels):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (80, 100, channels)[: 2 + bool(channels)], dtype=np.uint8)
    for draw in range(6):
        x, y = warp.maps(nodes(draw), 80, 100)
        out = warp.resample(image, nodes(draw)).reshape(80, 100, -1)
        for c, plane in enumerate(np.moveaxis(image.reshape(80, 100, -1), 2, 0)):
            padded = np.pad(plane.astype(float), 1)
            at = np.clip([y + 1, x + 1], 0, np.array([[[81]], [[101]]]))
            slow = map_coordinates(padded, at, order=1)
            assert np.abs(out[..., c] - slow).max() < 0.51


def test_the_identity_changes_nothing():
    image = np.random.default_rng(0).integers(0, 256, (70, 90), dtype=np.uint8)
    same = warp.resample(image, np.stack(warp.identity()))
    assert np.abs(same.astype(int) - image).max() <= 1
    assert (same != image).mean() < 0.01
