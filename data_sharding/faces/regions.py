"""Five regions of a face in pixels, from its 468 points.

    labels = region_map(face.landmarks)      # uint8 [512, 512]: 0 background, 1..5 as REGIONS

The papers publish no lists of points; this partition is OsteoRay's own (`regions.json` says by
which rules), symmetric and exhaustive. Each of the mesh's 898 triangles is of the region that most
of its corners are of; where three corners are of three regions, of the first of them in REGIONS.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from data_sharding.compiled import compiled

REGIONS = ("forehead", "periorbital", "midface", "nasolabial", "jawline")
_FILE = Path(__file__).with_name("regions.json")
_STEPS = 256  # of a pixel: corners are rounded to these, and all that follows is whole numbers


@cache
def labelled() -> npt.NDArray[np.uint8]:
    """uint8 [468], read-only: the region of each point, 1..5 as in REGIONS."""
    listed = json.loads(_FILE.read_text())["regions"]
    assert tuple(listed) == REGIONS
    labels = np.zeros(sum(map(len, listed.values())), np.uint8)
    for number, name in enumerate(REGIONS, 1):
        labels[listed[name]] = number
    assert labels.all()
    labels.flags.writeable = False
    return labels


@cache
def triangles() -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    """int64 [898, 3], corners, and uint8 [898], region of each triangle; both read-only."""
    corners = np.array(json.loads(_FILE.read_text())["triangles"], np.int64)
    of = np.sort(labelled()[corners], axis=1)
    # sorted, a region of two or three corners is in the middle; of three regions the first counts
    different = (of[:, 0] != of[:, 1]) & (of[:, 1] != of[:, 2])
    majority = np.where(different, of[:, 0], of[:, 1])
    corners.flags.writeable = majority.flags.writeable = False
    return corners, majority


def region_map(landmarks: npt.NDArray[np.floating], size: int = 512) -> npt.NDArray[np.uint8]:
    """uint8 [size, size]: the region of each pixel's middle, 0 outside the face.

    Args:
        landmarks: [468, >=2] in the picture's pixels, the first pixel's middle at 0.5.
        size: side of the picture.

    A pixel that several triangles cover (where a face is turned and its mesh folds) or whose
    middle is on their common edge is of the first region in REGIONS among theirs.

    Raises:
        ValueError: not 468 points with two finite coordinates within a million pixels.
    """
    points = np.asarray(landmarks, np.float64)
    if points.ndim != 2 or points.shape[0] != len(labelled()) or points.shape[1] < 2:
        raise ValueError(f"landmarks must be [468, 2 or 3], not {list(points.shape)}")
    if not (np.abs(points[:, :2]) < 1e6).all():
        raise ValueError("landmarks must be finite pixels of the picture")
    corners, regions = triangles()
    steps = np.rint(points[:, :2] * _STEPS).astype(np.int64)
    out = np.zeros((size, size), np.uint8)
    _fill(steps[corners], regions, out)
    return out


@compiled
def _fill(corners, regions, out):
    """Draw int64 triangles [n, 3, (x, y)], in steps of a pixel, into `out`; the lowest wins."""
    size = out.shape[0]
    half = _STEPS // 2
    for n in range(corners.shape[0]):
        ax, ay = corners[n, 0]
        bx, by = corners[n, 1]
        cx, cy = corners[n, 2]
        turn = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if turn == 0:
            continue
        if turn < 0:
            bx, by, cx, cy = cx, cy, bx, by
        # the first and last pixel whose middle may be inside
        left = max((min(ax, bx, cx) - half) // _STEPS, 0)
        right = min((max(ax, bx, cx) - half) // _STEPS + 1, size - 1)
        top = max((min(ay, by, cy) - half) // _STEPS, 0)
        bottom = min((max(ay, by, cy) - half) // _STEPS + 1, size - 1)
        for y in range(top, bottom + 1):
            py = y * _STEPS + half
            for x in range(left, right + 1):
                px = x * _STEPS + half
                if (
                    (bx - ax) * (py - ay) - (by - ay) * (px - ax) >= 0
                    and (cx - bx) * (py - by) - (cy - by) * (px - bx) >= 0
                    and (ax - cx) * (py - cy) - (ay - cy) * (px - cx) >= 0
                    and (out[y, x] == 0 or regions[n] < out[y, x])
                ):
                    out[y, x] = regions[n]
