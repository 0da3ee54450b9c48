"""Truncation and area averaging against the paper's equations, one pixel at a time."""

from __future__ import annotations

import numpy as np
import pytest

from data_sharding.pictures.cxr import centre, to_model, truncated
from data_sharding.pictures.display import Display, grey
from data_sharding.pictures.resample import ONE, area_average


def naive_truncation(image: np.ndarray) -> np.ndarray:
    """OsPenScreen's equations, one pixel at a time: float64 [H, W] in 0..255."""
    height, width = image.shape
    middle = [
        float(image[y, x])
        for y in range(int(height / 4), int(3 * height / 4))
        for x in range(int(width / 4), int(3 * width / 4))
    ]
    low, high = min(middle), max(middle)
    out = np.zeros((height, width))
    for y in range(height):
        for x in range(width):
            if high > low:
                out[y, x] = (min(max(float(image[y, x]), low), high) - low) / (high - low) * 255
    return out


def overlaps(source: int, target: int) -> np.ndarray:
    """Share of each source pixel in each target pixel, float64 [target, source]; rows sum to 1."""
    out = np.zeros((target, source))
    for i in range(target):
        for y in range(source):
            top, bottom = max(i * source / target, y), min((i + 1) * source / target, y + 1)
            out[i, y] = max(bottom - top, 0) * target / source
    return out


def averaged(image: np.ndarray, size: int) -> np.ndarray:
    """Area averages by two matrix products, float64 [size, size]."""
    height, width = image.shape
    return overlaps(height, size) @ image @ overlaps(width, size).T


@pytest.mark.parametrize("shape", [(8, 8), (7, 9), (13, 5), (33, 18)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_truncation_is_the_papers(shape, dtype):
    image = (np.random.default_rng(1).random(shape) * 250).astype(dtype)
    picture = grey(image)
    table = truncated(picture, centre(picture))
    np.testing.assert_allclose(table[image] / ONE, naive_truncation(image), atol=0.51 / ONE)


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((64, 64), 32),
        ((61, 47), 32),
        ((100, 333), 24),
        ((33, 32), 32),
        ((20, 17), 32),
        ((16, 90), 40),
    ],
)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_model_picture_is_the_area_average_of_the_truncated_one(shape, size, dtype):
    """Shapes that do and do not divide, wide, tall, and smaller than the result."""
    top = 255 if dtype == np.uint8 else 65535
    image = np.random.default_rng(2).integers(0, top + 1, shape).astype(dtype)
    picture = grey(image)
    out = to_model(picture, centre(picture), size)
    assert (out.dtype, out.shape) == (np.uint8, (size, size))
    assert np.abs(out - averaged(naive_truncation(image), size)).max() <= 0.51


def test_averages_of_the_brightest_and_longest_pictures_do_not_overflow():
    """65,535 rows of white, and 60 million pixels' worth of columns a row, stay white."""
    table = np.full(65536, 255 * ONE, np.uint16)
    for shape in ((65535, 3), (3, 65535), (2048, 4096)):
        assert (area_average(np.zeros(shape, np.uint16), table, 7) == 255).all()


def test_a_flat_centre_gives_zeros_whatever_the_border():
    image = np.full((16, 16), 7, np.uint16)
    image[0] = 60000
    picture = grey(image)
    assert not to_model(picture, centre(picture), 8).any()
    assert "flat" in centre(picture).blank


def test_the_border_cannot_stretch_the_grey_scale():
    image = np.random.default_rng(0).integers(1000, 2000, (64, 64)).astype(np.uint16)
    image[:4] = 65535
    assert centre(grey(image)).high < 2000
    assert to_model(grey(image), centre(grey(image)), 64)[:4].min() == 255


def test_padding_decides_nothing_and_is_black():
    image = np.random.default_rng(0).integers(1000, 2000, (64, 64)).astype(np.uint16)
    padded = image.copy()
    padded[20:40, :40] = 9  # in the middle too
    levels, mask = np.arange(65536).astype(np.uint16), np.arange(65536) == 9
    levels[9] = 0
    picture = Display(padded, levels, mask)
    middle = centre(picture)
    assert middle.low >= 1000
    assert not to_model(picture, middle, 64)[20:40, :40].any()
    everything = Display(np.full_like(image, 9), levels, mask)
    assert "padding" in centre(everything).blank


def test_pictures_with_nothing_in_them():
    black = np.zeros((64, 64), np.uint16)
    black[30, 30] = 9
    assert "black" in centre(grey(black)).blank
    assert "white" in centre(grey(np.uint16(9) - black)).blank
    assert "pixels" in centre(grey(np.zeros((8, 64), np.uint16))).blank
    noise = np.random.default_rng(0).integers(0, 99, (64, 64)).astype(np.uint8)
    assert centre(grey(noise)).blank == ""
