"""Real faces to test with, and what can be done to them: turned in depth, lit, covered, blurred.

Two portraits in the public domain that come with libraries: scikit-image's astronaut (NASA) and
matplotlib's Grace Hopper (U.S. Navy), who wears glasses and a hat.
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from pathlib import Path

import cv2
import matplotlib
import numpy as np
from PIL import Image
from skimage.data import astronaut as _astronaut

from data_sharding.faces.finder import find
from data_sharding.faces.mesh import mesh
from data_sharding.faces.oval import FACE_OVAL, FILL, frame_of
from data_sharding.faces.regions import triangles
from data_sharding.faces.sampling import Levels


@cache
def astronaut() -> np.ndarray:
    """uint8 [512, 512, 3]: a smiling woman, hair on the forehead."""
    return np.asarray(_astronaut())


@cache
def hopper() -> np.ndarray:
    """uint8 [600, 512, 3]: an old woman with glasses and a cap."""
    path = Path(matplotlib.get_data_path()) / "sample_data/grace_hopper.jpg"
    return np.asarray(Image.open(path).convert("RGB"))


def points_of(rgb: np.ndarray) -> np.ndarray:
    """[468, 3] of the largest face."""
    photo = Levels(rgb)
    points = mesh(photo, find(photo)[0])
    assert points is not None
    return points


def turned(rgb: np.ndarray, points: np.ndarray, yaw: float, pitch: float = 0.0) -> np.ndarray:
    """The photograph as if the head were turned by these degrees more, by the depth of its mesh.

    The mesh is turned, and with it two rings around it that lie further back; triangles are drawn
    with their own texture, far ones first, on the photograph blurred.
    """
    width = np.ptp(points[:, 0])
    middle = points.mean(0) + (0, 0, 0.4 * width)  # the neck is behind the face
    oval = points[list(FACE_OVAL)]
    rings = [
        (oval - middle) * (grow, grow, 1) + middle + (0, 0, back * width)
        for grow, back in ((1.25, 0.15), (1.5, 0.45))
    ]
    solid = np.concatenate([points, *rings])
    y, p = np.deg2rad([yaw, pitch])
    about_y = np.array([[np.cos(y), 0, -np.sin(y)], [0, 1, 0], [np.sin(y), 0, np.cos(y)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(p), np.sin(p)], [0, -np.sin(p), np.cos(p)]])
    moved = (solid - middle) @ (about_y @ about_x).T + middle
    n = len(FACE_OVAL)
    faces = [tuple(t) for t in triangles()[0]]
    for inner, outer in pairwise(
        (list(FACE_OVAL), range(468, 468 + n), range(468 + n, 468 + 2 * n))
    ):
        for i in range(n):
            j = (i + 1) % n
            faces += [(inner[i], inner[j], outer[j]), (inner[i], outer[j], outer[i])]
    out = cv2.GaussianBlur(rgb, (0, 0), max(2.0, width / 15))
    for t in sorted(faces, key=lambda t: -moved[list(t), 2].mean()):
        _draw(rgb, solid[list(t), :2], moved[list(t), :2], out)
    return out


#: The upper lid of the right and left eye, from corner to corner, and the lower lid below it.
LIDS = (
    ((246, 161, 160, 159, 158, 157, 173), (7, 163, 144, 145, 153, 154, 155)),
    ((466, 388, 387, 386, 385, 384, 398), (249, 390, 373, 374, 380, 381, 382)),
)
#: Two rows of skin above each eye, the nearer first.
_ABOVE = (
    ((247, 30, 29, 27, 28, 56, 190), (113, 225, 224, 223, 222, 221, 189)),
    ((467, 260, 259, 257, 258, 286, 414), (342, 445, 444, 443, 442, 441, 413)),
)


def shut(rgb: np.ndarray, points: np.ndarray, by: float = 1.0, eyes: tuple = (0, 1)) -> np.ndarray:
    """The photograph with the upper lids drawn down by this share of the opening."""
    moved = points.copy()
    for eye in eyes:
        upper, lower = (list(lid) for lid in LIDS[eye])
        drop = by * (points[lower] - points[upper])
        moved[upper] += drop
        # the skin above follows, less and less
        for row, share in ((_ABOVE[eye][0], 0.6), (_ABOVE[eye][1], 0.25)):
            moved[list(row)] += share * drop
    out = rgb.copy()
    for t in triangles()[0]:
        if (moved[t] != points[t]).any():
            _draw(rgb, points[t, :2], moved[t, :2], out)
    return out


def _draw(source: np.ndarray, was: np.ndarray, now: np.ndarray, out: np.ndarray) -> None:
    """One triangle [3, 2] of `source` drawn at another place of `out`."""
    height, width = out.shape[:2]
    left, top = np.floor(now.min(0)).astype(int)
    right, bottom = np.ceil(now.max(0)).astype(int) + 1
    left, top, right, bottom = max(left, 0), max(top, 0), min(right, width), min(bottom, height)
    edges = now[1:] - now[0]
    if (
        right <= left
        or bottom <= top
        or np.linalg.det(edges) * np.linalg.det(was[1:] - was[0]) <= 0
    ):
        return  # outside, or its back is seen
    matrix = cv2.getAffineTransform(was.astype(np.float32), (now - (left, top)).astype(np.float32))
    part = cv2.warpAffine(
        source, matrix, (right - left, bottom - top), borderMode=cv2.BORDER_REPLICATE
    )
    inside = np.zeros(part.shape[:2], np.uint8)
    cv2.fillConvexPoly(
        inside, np.round((now - (left, top)) * 16).astype(np.int32), 1, cv2.LINE_8, 4
    )
    target = out[top:bottom, left:right]
    target[inside > 0] = part[inside > 0]


def lit(rgb: np.ndarray, stops: float) -> np.ndarray:
    """The photograph with 2**stops times the light."""
    linear = (rgb / 255.0) ** 2.2 * 2.0**stops
    return np.rint(np.clip(linear, 0, 1) ** (1 / 2.2) * 255).astype(np.uint8)


def zoomed(rgb: np.ndarray, by: float) -> np.ndarray:
    """The photograph with this many times the pixels along each side."""
    how = cv2.INTER_AREA if by < 1 else cv2.INTER_CUBIC
    return cv2.resize(rgb, None, fx=by, fy=by, interpolation=how)


def height_of(points: np.ndarray) -> float:
    """Of the face, in pixels, as the quality rules have it."""
    return frame_of(points).side * FILL
