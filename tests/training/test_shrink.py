from __future__ import annotations

import cv2
import numpy as np
import pytest

from training.shrink import resize


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("size", [64, 128, 37, 256, 512])
def test_it_is_cv2_to_the_bit(size, dtype):
    rng = np.random.default_rng(size)
    top = np.iinfo(dtype).max
    for image in (
        rng.integers(0, top + 1, (512, 512)).astype(dtype),
        (rng.integers(0, 2, (512, 512)) * top).astype(dtype),
        rng.integers(top - 4, top + 1, (512, 512)).astype(dtype),  # means that lie halfway
        np.full((512, 512), top, dtype),
    ):
        for view in (image, image[:, ::-1], np.asfortranarray(image)):
            wanted = cv2.resize(
                np.ascontiguousarray(view), (size, size), interpolation=cv2.INTER_AREA
            )
            got = resize(view, size)
            assert got.dtype == dtype
            assert (got == wanted).all()


@pytest.mark.parametrize("size", [64, 100, 192])
def test_sixteen_bits_are_the_area_average_rounded_once(size):
    image = np.random.default_rng(0).integers(0, 65536, (384, 384)).astype(np.uint16)
    share = np.zeros((size, 384))
    for i in range(size):
        top, bottom = i * 384 / size, (i + 1) * 384 / size
        rows = np.arange(384)
        share[i] = (np.minimum(bottom, rows + 1) - np.maximum(top, rows)).clip(0) * size / 384
    wanted = share @ image.astype(np.float64) @ share.T
    assert np.abs(resize(image, size) - wanted).max() < 0.51


def test_what_is_not_square_is_left_to_cv2():
    image = np.random.default_rng(0).integers(0, 256, (512, 256), dtype=np.uint8)
    wanted = cv2.resize(image, (128, 128), interpolation=cv2.INTER_AREA)
    assert (resize(image, 128) == wanted).all()
