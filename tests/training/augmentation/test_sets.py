from __future__ import annotations

import numpy as np
import pytest

from training import augmentation as A


@pytest.fixture
def image():
    y, x = np.mgrid[:96, :128]
    return ((x * 2 + y) % 256).astype(np.uint8)


def test_pure_in_seed_epoch_and_key(image):
    first = A.augment(image, "strong", 3, 5, "k")
    np.testing.assert_array_equal(first, A.augment(image, "strong", 3, 5, "k"))
    draws = {
        A.augment(image, "strong", 3, e, f"k{i}").tobytes() for e in range(6) for i in range(8)
    }
    assert len(draws) == 48


def test_shape_and_dtype_are_kept_and_the_input_is_not_touched(image):
    before = image.copy()
    for epoch in range(40):
        out = A.augment(image, "strong", 0, epoch, "k")
        assert out.shape == image.shape
        assert out.dtype == np.uint8
    np.testing.assert_array_equal(image, before)


def test_weak_is_the_flip_that_strong_begins_with(image):
    for epoch in range(20):
        weak = A.augment(image, "weak", 0, epoch, "k")
        rng = A.generator(0, epoch, "k")
        np.testing.assert_array_equal(weak, image[:, ::-1] if rng.random() < 0.5 else image)


@pytest.mark.parametrize("field", [A.grid_distortion, A.elastic, A.optical_distortion])
def test_each_distortion_moves_something_but_not_far(field):
    n = 17
    y, x = np.meshgrid(np.linspace(-1, 1, n), np.linspace(-1, 1, n), indexing="ij")
    moved = []
    for i in range(30):
        x2, y2 = field(x, y, A.generator(0, i, "k"))
        moved.append(np.hypot(x2 - x, y2 - y).max() / 2)  # in widths of the picture
    assert 0.01 < np.median(moved) < 0.2


def test_the_affine_field_is_the_similarity_it_says():
    n = 5
    y, x = np.meshgrid(np.linspace(-1, 1, n), np.linspace(-1, 1, n), indexing="ij")
    for i in range(20):
        x2, y2 = A.shift_scale_rotate(x, y, A.generator(0, i, "k"))
        step = np.hypot(x2[0, 1] - x2[0, 0], y2[0, 1] - y2[0, 0]) / np.hypot(x[0, 1] - x[0, 0], 0)
        assert 1 / 1.1 - 1e-9 <= step <= 1 / 0.9 + 1e-9
        across = np.array([x2[0, 1] - x2[0, 0], y2[0, 1] - y2[0, 0]])
        down = np.array([x2[1, 0] - x2[0, 0], y2[1, 0] - y2[0, 0]])
        assert abs(across @ down) < 1e-9


def test_gamma_keeps_black_and_white_and_dropout_blackens_a_quarter(image):
    ends = np.array([[0, 255]], np.uint8)
    white = np.full((512, 512), 255, np.uint8)
    for i in range(10):
        np.testing.assert_array_equal(A.gamma(ends, A.generator(0, i, "k")), ends)
        black = (A.grid_dropout(white, A.generator(0, i, "k")) == 0).mean()
        assert 0.2 < black < 0.3


def test_blurs_keep_a_flat_picture_flat():
    flat = np.full((40, 40), 117, np.uint8)
    for blur in (A.blur, A.motion_blur, A.median_blur):
        for i in range(8):
            assert np.ptp(blur(flat, A.generator(0, i, "k")).astype(int)[5:-5, 5:-5]) == 0
