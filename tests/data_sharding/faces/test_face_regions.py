"""The five regions: a partition of points and pixels, symmetric, as large as the papers' faces."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from data_sharding.faces import regions
from data_sharding.faces.canonical import canonical, mirror
from data_sharding.faces.oval import FACE_OVAL
from data_sharding.faces.regions import REGIONS, labelled, region_map, triangles

FILE = Path(regions.__file__).with_name("regions.json")


def frontal(size: int = 512) -> np.ndarray:
    """The canonical face from the front, [468, 2], in the middle of a picture."""
    points = canonical()[:, :2] * (1, -1)
    middle = (points.max(0) + points.min(0)) / 2
    return (points - middle) * (size / 20) + size / 2


def slow_map(points: np.ndarray, size: int) -> np.ndarray:
    """The same by barycentric coordinates of every pixel and triangle."""
    grid = np.arange(size) + 0.5
    x, y = np.meshgrid(grid, grid)
    out = np.zeros((size, size), np.uint8)
    corners, of = triangles()
    for t, region in sorted(zip(corners.tolist(), of.tolist(), strict=True), key=lambda p: -p[1]):
        a, b, c = points[t]
        matrix = np.array([b - a, c - a]).T
        if abs(np.linalg.det(matrix)) < 1e-9:
            continue
        u, v = np.einsum("ij,jyx->iyx", np.linalg.inv(matrix), np.array([x - a[0], y - a[1]]))
        out[(u >= 0) & (v >= 0) & (u + v <= 1)] = region
    return out


def test_every_point_is_of_one_region_and_of_its_mirror_s():
    listed = json.loads(FILE.read_text())["regions"]
    assert {name: len(points) for name, points in listed.items()} == {
        "forehead": 24,
        "periorbital": 120,
        "midface": 133,
        "nasolabial": 131,
        "jawline": 60,
    }
    assert sorted(p for points in listed.values() for p in points) == list(range(468))
    assert np.array_equal(labelled(), labelled()[mirror()])
    for point, region in ((151, 0), (159, 1), (1, 2), (13, 3), (152, 4), (50, 2), (61, 3)):
        assert REGIONS[labelled()[point] - 1] == REGIONS[region]


def test_the_canonical_face_is_symmetric_and_its_mirror_undoes_itself():
    points, other = canonical(), mirror()
    assert np.array_equal(other[other], np.arange(468))
    assert np.array_equal(points[other], points * (-1, 1, 1))
    assert (points[:, 0] == 0).sum() == 28
    # corners of eyes and mouth, tip of the nose, chin, as the mesh has them: right is -x
    for right, left in ((33, 263), (133, 362), (61, 291), (127, 356)):
        assert other[right] == left
        assert points[right, 0] < 0
    assert points[:, 1].argmin() == 152
    assert points[:, 2].argmax() == 4


def test_triangles_cover_the_face_once():
    corners, of = triangles()
    assert corners.shape == (898, 3)
    assert set(corners.ravel().tolist()) == set(range(468))
    assert of.min() == 1
    assert of.max() == 5
    assert len({frozenset(t) for t in corners.tolist()}) == 898
    # Euler: points - edges + triangles of a disc is 1, and its border is the oval
    edges = [frozenset(e) for a, b, c in corners.tolist() for e in ((a, b), (b, c), (c, a))]
    assert 468 - len(set(edges)) + 898 == 1
    border = {e for e in edges if edges.count(e) == 1}
    ring = zip(FACE_OVAL, FACE_OVAL[1:] + FACE_OVAL[:1], strict=True)
    assert border == {frozenset(e) for e in ring}


def test_the_map_is_symmetric_to_the_pixel():
    for size in (512, 224, 97):
        labels = region_map(frontal(size), size)
        assert np.array_equal(labels, labels[:, ::-1])


def test_the_map_is_the_slow_map():
    points = np.round(frontal(128) * 256) / 256
    skewed = np.round((points @ [[1.02, 0.2], [-0.1, 0.97]] + (7.3, -9.1)) * 256) / 256
    for p in (points, skewed):
        assert np.array_equal(region_map(p, 128), slow_map(p, 128))


def test_areas_and_background():
    labels = region_map(frontal())
    share = np.bincount(labels.ravel(), minlength=6)[1:] / (labels > 0).sum()
    # areas of the definition, computed apart from this code, differ by how it splits triangles
    assert np.abs(share - (0.152, 0.178, 0.316, 0.146, 0.207)).max() < 0.015
    oval = np.zeros((512, 512), np.uint8)
    cv2.fillPoly(oval, [np.round(frontal()[list(FACE_OVAL)] * 16).astype(np.int32)], 1, shift=4)
    assert (oval != (labels > 0)).sum() < 0.005 * oval.sum()  # cv2 draws the border too
    assert not labels[0].any()


def test_a_scale_or_a_shift_moves_the_map():
    points = frontal()
    moved = region_map(points + (40, -25), 512)
    assert np.array_equal(moved[:480, 45:], region_map(points)[25:505, 5:472])
    doubled = region_map(points * 2, 1024)
    assert (doubled[::2, ::2] != region_map(points)).mean() < 0.02


def test_landmarks_that_are_none():
    for wrong in (np.zeros((478, 3)), np.zeros((468, 1)), np.zeros(468)):
        with pytest.raises(ValueError, match="468"):
            region_map(wrong)
    for number in (np.nan, np.inf, 1e7):
        with pytest.raises(ValueError, match="finite"):
            region_map(np.full((468, 2), number))
    assert not region_map(np.full((468, 2), 9.0)).any()  # no area
    assert not region_map(frontal() - 5000).any()  # out of sight
