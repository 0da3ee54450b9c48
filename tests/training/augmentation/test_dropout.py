from __future__ import annotations

import numpy as np
import pytest

from training.augmentation.dropout import Holes, grid_dropout
from training.augmentation.random import generator


@pytest.mark.parametrize("shape", [(512, 512), (96, 130), (60, 60, 3), (9, 7)])
def test_holes_are_where_rows_with_holes_cross_columns_with_holes(shape):
    for i in range(20):
        holes = grid_dropout(generator(0, i, "k"), shape[1])
        image = np.random.default_rng(i).integers(1, 256, shape, dtype=np.uint8)
        slow = image.copy()
        slow[np.ix_(*holes.along(*shape[:2]))] = 0
        holes.cut(image)
        np.testing.assert_array_equal(image, slow)


def test_a_quarter_of_the_picture_is_black():
    white = np.full((512, 512), 255, np.uint8)
    shares = []
    for i in range(30):
        image = white.copy()
        grid_dropout(generator(0, i, "k"), 512).cut(image)
        shares.append((image == 0).mean())
    assert 0.2 < min(shares) < max(shares) < 0.3


def test_there_are_four_to_eight_units_a_side():
    units = {grid_dropout(generator(0, i, "k"), 512).unit for i in range(100)}
    assert units == {512 // n for n in range(4, 9)}
    rows, _ = Holes(64, 0, 0).along(512, 512)
    assert np.flatnonzero(rows[:64]).tolist() == list(range(32))
