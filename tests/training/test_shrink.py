from __future__ import annotations

import cv2
import numpy as np
import pytest

from training.shrink import resize


@pytest.mark.parametrize("size", [64, 128, 37, 256, 512])
def test_it_is_cv2_to_the_bit(size):
    rng = np.random.default_rng(size)
    for image in (
        rng.integers(0, 256, (512, 512), dtype=np.uint8),
        rng.integers(0, 2, (512, 512), dtype=np.uint8) * 255,
        rng.integers(100, 104, (512, 512), dtype=np.uint8),  # means that lie halfway
        np.full((512, 512), 255, np.uint8),
    ):
        for view in (image, image[:, ::-1], np.asfortranarray(image)):
            wanted = cv2.resize(
                np.ascontiguousarray(view), (size, size), interpolation=cv2.INTER_AREA
            )
            assert (resize(view, size) == wanted).all()


def test_what_is_not_square_is_left_to_cv2():
    image = np.random.default_rng(0).integers(0, 256, (512, 256), dtype=np.uint8)
    wanted = cv2.resize(image, (128, 128), interpolation=cv2.INTER_AREA)
    assert (resize(image, 128) == wanted).all()
