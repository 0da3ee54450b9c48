from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from training.augmentation.blur import Smoothing, blur, median_blur, motion_blur
from training.augmentation.random import generator

IMAGE = np.random.default_rng(0).integers(0, 256, (40, 60), dtype=np.uint8)


@pytest.mark.parametrize("size", [3, 5])
def test_box_and_median_are_scipys(size):
    mean = ndimage.uniform_filter(IMAGE.astype(float), size, mode="mirror")
    np.testing.assert_array_equal(Smoothing("box", size)(IMAGE), np.round(mean))
    median = ndimage.median_filter(IMAGE, size, mode="nearest")
    np.testing.assert_array_equal(Smoothing("median", size)(IMAGE), median)


@pytest.mark.parametrize("size", [3, 5])
def test_a_line_is_a_mean_along_its_direction(size):
    across = ndimage.uniform_filter1d(IMAGE.astype(float), size, axis=1, mode="mirror")
    np.testing.assert_array_equal(Smoothing("line", size, 0.0)(IMAGE), np.round(across))
    down = ndimage.uniform_filter1d(IMAGE.astype(float), size, axis=0, mode="mirror")
    np.testing.assert_array_equal(Smoothing("line", size, np.pi / 2)(IMAGE), np.round(down))
    for angle in np.linspace(0, np.pi, 37):
        kernel = Smoothing("line", size, angle).kernel()
        assert kernel.sum() % 2 == 1, "a tie would round as the machine likes"
        assert kernel[size // 2, size // 2] == 1


def test_small_pictures_are_blurred_by_three_pixels_large_ones_by_five_too():
    for draw in (blur, motion_blur, median_blur):
        sizes = {draw(generator(0, i, "k"), 512).size for i in range(30)}
        assert sizes == {3, 5}
        assert {draw(generator(0, i, "k"), 128).size for i in range(30)} == {3}


def test_blurs_keep_a_flat_picture_flat():
    flat = np.full((40, 40), 117, np.uint8)
    for draw in (blur, motion_blur, median_blur):
        for i in range(8):
            np.testing.assert_array_equal(draw(generator(0, i, "k"), 512)(flat), flat)
