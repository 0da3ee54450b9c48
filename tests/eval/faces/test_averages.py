"""Bending faces onto a mean: affine maps are exact, points land where they should, few are none."""

import numpy as np
import pytest

from eval.faces.averages import FEWEST, Bend, average


def points(rng, size, n=60):
    """Scattered, with the corners of the middle."""
    corners = np.array([[0.2, 0.2], [0.8, 0.2], [0.2, 0.8], [0.8, 0.8]])
    return np.concatenate([corners, rng.uniform(0.2, 0.8, (n, 2))]) * size


def test_an_affine_change_is_undone():
    rng = np.random.default_rng(0)
    target = points(rng, 64)
    turn, move = np.array([[0.9, 0.15], [-0.1, 1.1]]), np.array([4.0, -3.0])
    y, x = np.mgrid[:64, :64] + 0.5
    scene = np.stack([x, y, x - y], axis=-1).astype(np.float32)  # any place says where it is
    bent = Bend(target, 64)(scene, target @ turn.T + move)
    want = np.stack([x, y], axis=-1) @ turn.T + move
    inside = (x > 15) & (x < 49) & (y > 15) & (y < 49)
    np.testing.assert_allclose(bent[inside][:, :2], want[inside], atol=0.02)
    assert not bent[0].any()  # outside of the points nothing is known


def test_every_point_lands_on_the_mean():
    """Pictures with a bright dot at each of their points have it at the mean's in the average."""
    rng = np.random.default_rng(1)
    base = np.array([[30, 30], [90, 32], [60, 95], [32, 80], [88, 84], [60, 55.0]])
    each = [base + rng.normal(0, 3, base.shape) for _ in range(FEWEST)]
    pictures = []
    y, x = np.mgrid[:128, :128] + 0.5
    for own in each:
        dots = sum(np.exp(-((x - a) ** 2 + (y - b) ** 2) / 8) for a, b in own)
        pictures.append((255 * dots).clip(0, 255).astype(np.uint8))
    made = average(pictures, each, 128, FEWEST)
    middle = np.mean(each, axis=0)[5]
    at = np.unravel_index(made[40:70, 40:80].argmax(), (30, 40))
    assert np.hypot(at[1] + 40.5 - middle[0], at[0] + 40.5 - middle[1]) < 1.5
    smeared = np.mean(pictures, axis=0)
    assert made[40:70, 40:80].max() > 1.2 * smeared[40:70, 40:80].max()


def test_few_people_have_no_average():
    faces = [np.zeros((8, 8, 3), np.uint8)] * 20
    where = [points(np.random.default_rng(0), 8)] * 20
    assert average(faces, where, 16, FEWEST - 1) is None
    assert average(faces, where, 16, FEWEST).shape == (16, 16, 3)
    with pytest.raises(ValueError, match="points of 1"):
        average(faces, where[:1], 16, 20)
