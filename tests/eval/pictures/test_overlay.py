"""A panel's pixels: the picture beside its heat, and what the colours say."""

import cv2
import numpy as np
from skimage.color import rgb2lab

from eval.pictures.overlay import heat, panel_png


def test_a_panel_is_the_picture_beside_its_heat():
    pixels = np.full((64, 64), 100, np.uint8)
    cam = np.zeros((16, 16))
    cam[:8] = 1.0
    picture = cv2.imdecode(np.frombuffer(panel_png(pixels, cam), np.uint8), 1).astype(int)
    left, right = picture[:, :256], picture[:, 262:]
    assert (left == 100).all()
    assert (right[-40:] == 100).all()
    assert (np.abs(right[:40] - 100).max(axis=2) > 30).all()
    # a white line within black where the map is at half its most, between 112 and 144
    column = right[60:200, 100].mean(axis=1)
    line = int(column.argmax())
    assert 112 < 60 + line < 144
    assert column[line] > 240
    assert column[line - 3 : line + 4].min() < 60


def test_a_panel_has_a_third_picture_where_a_model_has_tiles():
    """Each tile under one heat up to its edge, and a line around what is above half."""
    pixels = np.full((60, 60), 100, np.uint8)
    tiles = np.array([[1.0, 0.0, 0.0], [0.0, 0.25, 0.0], [0.0, 0.0, 0.0]])
    data = panel_png(pixels, np.zeros((8, 8)), tiles)
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), 1).astype(int)
    assert picture.shape == (256, 3 * 256 + 2 * 6, 3)
    assert (picture[:, :256] == picture[:, 262:518]).all()
    third = picture[:, 524:]
    expected = 100 * (1 - 0.6 * 0.25) + 255 * 0.6 * 0.25 * heat(np.array([0.25]))[0, ::-1]
    assert np.abs(third[90:166, 90:166] - expected).max() <= 1
    assert np.abs(third[10:70, 10:70] - third[40, 40]).max() == 0
    assert (third[190:, :] == 100).all()


def test_of_16_bits_the_upper_eight_are_shown():
    rng = np.random.default_rng(0)
    eight = rng.integers(0, 256, (32, 32)).astype(np.uint8)
    cam = rng.random((8, 8))
    assert panel_png(eight.astype(np.uint16) * 257, cam) == panel_png(eight, cam)


def test_a_map_without_evidence_leaves_the_picture_as_it_is():
    pixels = np.random.default_rng(0).integers(0, 255, (32, 48)).astype(np.uint8)
    picture = cv2.imdecode(np.frombuffer(panel_png(pixels, np.zeros((8, 8))), np.uint8), 1)
    assert picture.shape == (171, 518, 3)
    assert (picture[:, :256] == picture[:, 262:]).all()


def test_heat_is_told_apart_without_colour():
    """Perceptually uniform: lightness (L* of CIELAB, by skimage) rises evenly all the way."""
    lightness = rgb2lab(heat(np.linspace(0, 1, 101))[None])[0, :, 0]
    steps = np.diff(lightness)
    assert (steps > 0).all()
    assert lightness[-1] - lightness[0] > 90
    assert steps.std() < 0.5 * steps.mean()
