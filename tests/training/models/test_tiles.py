from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from training.models.tiles import cut, edges, pool, stitch


@pytest.mark.parametrize(("height", "width", "n"), [(36, 36, 6), (41, 53, 6), (6, 7, 6), (9, 5, 2)])
def test_every_pixel_is_in_exactly_one_tile(height, width, n):
    times = np.zeros((height, width), int)
    rows, columns = edges(height, n), edges(width, n)
    for r in range(n):
        for c in range(n):
            times[rows[r] : rows[r + 1], columns[c] : columns[c + 1]] += 1
    assert (times == 1).all()
    for sizes in (np.diff(rows), np.diff(columns)):
        assert sizes.min() >= 1
        assert sizes.max() - sizes.min() <= 1


@pytest.mark.parametrize("size", [(41, 53), (203, 90)])
def test_each_pixel_reaches_its_own_tile_and_no_other(size):
    """By the gradient, through the resizing."""
    n, s = 6, 16  # grows and shrinks
    x = torch.zeros(1, 1, *size, requires_grad=True)
    tiles = cut(x, n, s)
    assert tiles.shape == (1, 36, 1, s, s)
    reached = torch.zeros(size)
    rows, columns = edges(size[0], n), edges(size[1], n)
    for k in range(n * n):
        (gradient,) = torch.autograd.grad(tiles[0, k].sum(), x, retain_graph=True)
        r, c = divmod(k, n)
        inside = torch.zeros(size, dtype=torch.bool)
        inside[rows[r] : rows[r + 1], columns[c] : columns[c + 1]] = True
        assert (gradient[0, 0][~inside] == 0).all()
        reached += gradient[0, 0] != 0
    assert (reached == 1).all()


def test_growing_is_opencvs_bilinear():
    image = np.random.default_rng(0).normal(size=(50, 61)).astype(np.float32)
    tiles = cut(torch.tensor(image)[None, None], 6, 40)[0, :, 0].numpy()
    rows, columns = edges(50, 6), edges(61, 6)
    for k, tile in enumerate(tiles):
        r, c = divmod(k, 6)
        part = image[rows[r] : rows[r + 1], columns[c] : columns[c + 1]]
        expected = cv2.resize(part, (40, 40), interpolation=cv2.INTER_LINEAR)
        np.testing.assert_allclose(tile, expected, atol=1e-5)


def triangle(size: int, s: int) -> np.ndarray:
    """[s, size]: the weights of a triangle as wide as the step, clipped at the ends."""
    scale = size / s
    out = np.zeros((s, size))
    for i in range(s):
        for j in range(size):
            out[i, j] = max(0.0, 1 - abs((j + 0.5) - (i + 0.5) * scale) / max(scale, 1))
    return out / out.sum(1, keepdims=True)


def test_shrinking_passes_no_pixel_over():
    image = np.random.default_rng(1).normal(size=(130, 165))
    tiles = cut(torch.tensor(image)[None, None], 2, 32)[0, :, 0].numpy()
    rows, columns = edges(130, 2), edges(165, 2)
    for k, tile in enumerate(tiles):
        r, c = divmod(k, 2)
        part = image[rows[r] : rows[r + 1], columns[c] : columns[c + 1]]
        expected = triangle(part.shape[0], 32) @ part @ triangle(part.shape[1], 32).T
        np.testing.assert_allclose(tile, expected, atol=1e-6)


def test_tiles_of_the_right_size_are_the_picture_itself():
    x = torch.rand(2, 1, 64, 96)
    with pytest.raises(AssertionError):  # 32 x 48 is resized
        torch.testing.assert_close(stitch(cut(x, 2, 32)), x)
    x = torch.rand(2, 1, 192, 192)
    assert torch.equal(stitch(cut(x, 6, 32)), x)


def test_maps_are_put_together_in_reading_order_and_pooled_by_tile():
    maps = torch.rand(2, 9, 4, 3, 5)
    whole = stitch(maps)
    assert whole.shape == (2, 4, 9, 15)
    for k in range(9):
        r, c = divmod(k, 3)
        assert torch.equal(whole[:, :, 3 * r : 3 * r + 3, 5 * c : 5 * c + 5], maps[:, k])
    torch.testing.assert_close(pool(whole, 3), maps.mean((3, 4)))


def test_a_picture_smaller_than_the_grid_is_refused():
    with pytest.raises(ValueError, match=r"5 pixels .* input\.size"):
        cut(torch.zeros(1, 1, 40, 5), 6, 32)
