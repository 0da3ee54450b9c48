from __future__ import annotations

import numpy as np
import pytest
from skimage import exposure

from training.augmentation import tone
from training.augmentation.random import generator


def test_gamma_keeps_black_and_white_and_order_and_is_symmetric():
    brighter = 0
    for i in range(200):
        table = tone.gamma(generator(0, i, "k")).table(np.uint8)
        assert (table[0], table[255]) == (0, 255)
        assert (np.diff(table.astype(int)) >= 0).all()
        # 128 at gamma 1.25 and at .8
        assert 107 <= table[128] <= 147
        brighter += table[128] > 128
    assert 70 < brighter < 130


def test_jitter_is_gamma_then_contrast_about_mid_grey_then_brightness():
    for i in range(50):
        rng = generator(0, i, "k")
        shift, times = rng.uniform(-0.1, 0.1), rng.uniform(0.85, 1.15)
        g = tone.gamma(rng).gamma
        for top, dtype in ((255, np.uint8), (65535, np.uint16)):
            table = tone.jitter(generator(0, i, "k")).table(dtype).astype(int)
            curve = (np.arange(top + 1) / top) ** g
            want = np.clip(top / 2 + (curve - 0.5) * top * times + top * shift, 0, top)
            assert np.abs(table - want).max() <= 0.5 + 1e-6
            assert (np.diff(table) >= 0).all()


def test_sixteen_bits_are_toned_as_eight_are_and_not_in_256_steps():
    image = np.arange(65536).reshape(256, 256).astype(np.uint16)
    for i in range(20):
        drawn = tone.jitter(generator(0, i, "k"))
        deep, before = drawn(image), image.copy()
        assert deep.dtype == np.uint16
        assert len(np.unique(deep)) > 30000
        shallow = drawn((np.arange(256)).astype(np.uint8)[None])[0].astype(float)
        np.testing.assert_allclose(deep.ravel()[::257] / 257, shallow, atol=0.51)
        np.testing.assert_array_equal(image, before)


def test_equalisation_raises_contrast_more_the_higher_the_limit():
    rng = np.random.default_rng(0)
    dull = rng.normal(100, 8, (128, 128)).clip(0, 255).astype(np.uint8)
    spread = [tone.equalise(dull, clip).std() for clip in (1, 2, 3, 10)]
    assert (np.diff(spread) > 0).all()
    # skimage's limit is a share of a tile's pixels; without a limit both equalise tile by tile
    free = exposure.equalize_adapthist(dull, (16, 16), clip_limit=1.0, nbins=256)
    assert tone.equalise(dull, 256).std() == pytest.approx(255 * free.std(), rel=0.05)


def test_equalisation_of_colour_keeps_hues():
    rng = np.random.default_rng(0)
    light = rng.normal(150, 10, (64, 64, 1)).clip(0, 255)
    skin = (light * [1, 0.75, 0.65]).astype(np.uint8)
    out = tone.equalise(skin, 1.5).astype(float)
    inside = ((out > 2) & (out < 253)).all(2)
    before, after = skin.astype(float)[inside], out[inside]
    np.testing.assert_allclose(after[:, 0] - after[:, 1], before[:, 0] - before[:, 1], atol=3)
    np.testing.assert_allclose(after[:, 0] - after[:, 2], before[:, 0] - before[:, 2], atol=3)
