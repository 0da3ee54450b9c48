"""Squares of a photograph: where points go, what pixels become, and nothing invented beyond."""

from __future__ import annotations

import numpy as np
import pytest

from data_sharding.faces.sampling import Frame, Levels, sample

RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 256, (64, 64, 3)).astype(np.uint8)


def test_a_frame_of_the_whole_picture_is_the_picture():
    whole = Frame(32, 32, 64, 0)
    assert np.array_equal(sample(Levels(NOISE), whole, 64), NOISE)


@pytest.mark.parametrize(("degrees", "quarters"), [(90, 1), (180, 2), (-90, 3), (360, 0)])
def test_a_quarter_turn_is_exact(degrees, quarters):
    # a face turned clockwise is turned back counter-clockwise, as rot90 turns
    turned = sample(Levels(NOISE), Frame(32, 32, 64, degrees), 64)
    assert np.array_equal(turned, np.rot90(NOISE, quarters))


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_made_smaller_is_the_mean_of_areas(factor):
    side = 64 // factor
    means = NOISE.reshape(side, factor, side, factor, 3).mean((1, 3))
    seen = sample(Levels(NOISE), Frame(32, 32, 64, 0), side)
    assert np.abs(seen - means).max() <= 0.5 * np.log2(factor) + 1e-6  # each halving rounds


def test_a_factor_between_powers_of_two_is_the_mean_of_areas_too():
    big = RNG.integers(0, 256, (96, 96, 3)).astype(np.uint8)
    means = big.reshape(32, 3, 32, 3, 3).mean((1, 3))
    assert np.abs(sample(Levels(big), Frame(48, 48, 96, 0), 32) - means).mean() < 12
    # of noise of 8 bits, whose means of 9 vary by 25; a picture of every third pixel is far off
    assert np.abs(big[1::3, 1::3] - means).mean() > 50


def test_points_go_where_pixels_go():
    rows, columns = np.mgrid[0:300, 0:400] + 0.5
    for frame in (Frame(210, 140, 120, 17), Frame(180, 150, 260, -40), Frame(200, 150, 60, 3)):
        blob = (255 * np.exp(-((columns - 205.5) ** 2 + (rows - 147.25) ** 2) / 40)).astype(int)
        photo = Levels(np.dstack([blob] * 3).astype(np.uint8))
        seen = sample(photo, frame, 96)[..., 0].astype(float)
        y, x = np.mgrid[0:96, 0:96] + 0.5
        found = np.array([(x * seen).sum(), (y * seen).sum()]) / seen.sum()
        matrix = frame.matrix(96)
        wanted = matrix[:, :2] @ (205.5, 147.25) + matrix[:, 2]
        assert np.abs(found - wanted).max() < 0.1
        inverse = frame.inverse(96)
        assert np.allclose(inverse[:, :2] @ wanted + inverse[:, 2], (205.5, 147.25))


def test_beyond_the_photograph_is_black():
    white = Levels(np.full((50, 40, 3), 255, np.uint8))
    assert not sample(white, Frame(500, 500, 64, 10), 64).any()
    assert not sample(white, Frame(-500, 20, 640, 10), 64).any()
    half = sample(white, Frame(0, 25, 40, 0), 40)
    assert not half[:, :19].any()
    assert (half[:, 21:] == 255).all()


def test_twelve_megapixels_and_their_half_are_one_picture():
    smooth = np.kron(RNG.integers(0, 256, (6, 8, 3)), np.ones((64, 64, 1))).astype(np.uint8)
    double = np.kron(smooth, np.ones((2, 2, 1))).astype(np.uint8)
    a = sample(Levels(smooth), Frame(250, 190, 300, 12), 128)
    b = sample(Levels(double), Frame(500, 380, 600, 12), 128)
    assert np.array_equal(a, b)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (3, 2), (17, 4001)])
def test_odd_shapes_end_in_a_square(shape):
    photo = Levels(np.full((*shape, 3), 9, np.uint8))
    for side in (0.5, 3, 700, 9000):
        out = sample(photo, Frame(shape[1] / 2, shape[0] / 2, side, 30), 32)
        assert out.shape == (32, 32, 3)
        assert out.max() <= 9
