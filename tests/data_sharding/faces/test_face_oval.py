"""The ellipse, the frame around it, and what of a face is inside."""

from __future__ import annotations

import numpy as np
import pytest

from data_sharding.faces.canonical import canonical
from data_sharding.faces.mesh import LEFT_EYE, RIGHT_EYE
from data_sharding.faces.oval import FACE_OVAL, FILL, ellipse, frame_of, mask
from tests.data_sharding.faces.people import astronaut, hopper, points_of


def on_ellipse(x: float, y: float, half: tuple[float, float], degrees: float) -> np.ndarray:
    """468 points whose oval lies on an ellipse, as unevenly as the real one's."""
    oval = canonical()[list(FACE_OVAL), :2]
    along = np.arctan2(oval[:, 1], oval[:, 0])
    turn = np.deg2rad(degrees)
    round_ = np.c_[half[0] * np.cos(along), half[1] * np.sin(along)]
    points = np.full((468, 2), 7.0)
    points[list(FACE_OVAL)] = round_ @ [
        [np.cos(turn), np.sin(turn)],
        [-np.sin(turn), np.cos(turn)],
    ] + (x, y)
    return points


@pytest.mark.parametrize("degrees", [0, 10, -35, 90])
@pytest.mark.parametrize("half", [(80, 110), (150, 90), (100, 101)])
def test_an_ellipse_is_fitted_to_itself(half, degrees):
    points = on_ellipse(2003.5, 1490.25, half, degrees)  # far off, as in 12 megapixels
    middle, unit = ellipse(points)
    assert np.allclose(middle, (2003.5, 1490.25), atol=0.01)
    assert np.allclose(
        np.linalg.norm((points[list(FACE_OVAL)] - middle) @ unit, axis=1), 1, atol=1e-3
    )
    inside = mask(on_ellipse(256, 240, half, degrees), 512)
    middle, unit = ellipse(on_ellipse(256, 240, half, degrees))
    grid = np.moveaxis(np.mgrid[0:512, 0:512][::-1], 0, -1) + 0.5
    slow = np.linalg.norm((grid - middle) @ unit, axis=-1) <= 1
    assert (inside != slow).sum() <= 2  # but for what rounding decides
    assert inside.sum() == pytest.approx(np.pi * half[0] * half[1], rel=0.002)
    y, x = np.nonzero(inside)
    assert (x.mean() + 0.5, y.mean() + 0.5) == pytest.approx((256, 240), abs=0.05)


@pytest.mark.parametrize("person", [astronaut, hopper])
def test_the_frame_levels_the_eyes_and_fits_the_ellipse(person):
    points = points_of(person())
    matrix = frame_of(points).matrix(512)
    seen = points[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    right, left = (seen[list(eye)].mean(0) for eye in (RIGHT_EYE, LEFT_EYE))
    assert right[1] == pytest.approx(left[1], abs=1e-6)
    assert right[0] < left[0]
    inside = mask(seen, 512)
    rows, columns = (np.flatnonzero(inside.any(axis)) for axis in (1, 0))
    assert max(np.ptp(rows), np.ptp(columns)) + 1 == pytest.approx(512 * FILL, abs=2)
    assert (rows[0] + rows[-1] + 1) / 2 == pytest.approx(256, abs=1)
    assert (columns[0] + columns[-1] + 1) / 2 == pytest.approx(256, abs=1)


@pytest.mark.parametrize("person", [astronaut, hopper])
def test_little_of_the_oval_is_lost_and_little_else_is_kept(person):
    from data_sharding.faces.regions import region_map

    points = points_of(person())
    matrix = frame_of(points).matrix(512)
    seen = points[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    oval, inside = region_map(seen) > 0, mask(seen, 512)
    assert (oval & ~inside).sum() / oval.sum() < 0.04
    assert (inside & ~oval).sum() / inside.sum() < 0.08
