from __future__ import annotations

import numpy as np
import pytest

from data_sharding.cxr import blank_reason, central_range, to_model, truncate


def naive_truncation(image: np.ndarray) -> np.ndarray:
    """OsPenScreen's equations, one pixel at a time."""
    height, width = image.shape
    centre = [
        float(image[y, x])
        for y in range(int(height / 4), int(3 * height / 4))
        for x in range(int(width / 4), int(3 * width / 4))
    ]
    low, high = min(centre), max(centre)
    out = np.zeros((height, width))
    for y in range(height):
        for x in range(width):
            if high > low:
                out[y, x] = (min(max(float(image[y, x]), low), high) - low) / (high - low) * 255
    return out


@pytest.mark.parametrize("shape", [(8, 8), (7, 9), (13, 5), (33, 18)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_truncation_is_the_papers(shape, dtype):
    image = (np.random.default_rng(1).random(shape) * 250).astype(dtype)
    out = truncate(image)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, naive_truncation(image), atol=1e-3)


def test_a_flat_centre_gives_zeros_whatever_the_border():
    image = np.full((16, 16), 7, np.uint16)
    image[0] = 60000
    assert not truncate(image).any()
    assert "flat" in blank_reason(image)


def test_the_border_cannot_stretch_the_grey_scale():
    image = np.random.default_rng(0).integers(1000, 2000, (64, 64)).astype(np.uint16)
    image[:4] = 65535
    assert central_range(image)[1] < 2000
    assert truncate(image).max() == 255


def test_to_model_averages_areas_after_truncating():
    image = np.random.default_rng(0).integers(0, 4096, (64, 64)).astype(np.uint16)
    want = naive_truncation(image).reshape(32, 2, 32, 2).mean((1, 3))
    out = to_model(image, 32)
    assert out.dtype == np.uint8
    assert np.abs(out.astype(float) - want).max() <= 0.51


def test_pictures_with_nothing_in_them():
    black = np.zeros((64, 64), np.uint16)
    black[30, 30] = 9
    assert "black" in blank_reason(black)
    assert "white" in blank_reason(9 - black)
    assert "pixels" in blank_reason(np.zeros((8, 64), np.uint16))
    assert blank_reason(np.random.default_rng(0).integers(0, 99, (64, 64))) == ""
