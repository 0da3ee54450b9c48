"""The ellipse of a face, the frame around it, and the picture outside of it made black.

    frame = frame_of(points)             # eyes level, the ellipse in the middle, filling it
    inside = mask(points in that frame)  # bool [size, size]

The ellipse is fitted to the 36 points of MediaPipe's FACE_OVAL, in least squares. Eyes make the
picture level, the ellipse centres and scales it: every face fills its picture equally, and no
proportion of it changes. A face is no ellipse: of two real ones 3% of the oval, at the temples and
the chin, is outside of it, and 6 to 7% of the ellipse is hair, ears and background.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from data_sharding.faces.mesh import LEFT_EYE, RIGHT_EYE, angle
from data_sharding.faces.sampling import Floats, Frame

# fmt: off
FACE_OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)
# fmt: on
FILL = 0.98  # of the picture's side is the ellipse's longer extent


def ellipse(points: npt.NDArray[np.floating]) -> tuple[Floats, Floats]:
    """The ellipse of `points`, [468, >=2]: {p : |A (p - middle)| <= 1}.

    Returns:
        `middle` [2] and A [2, 2], symmetric.
    """
    oval = np.asarray(points, np.float64)[list(FACE_OVAL), :2]
    around = oval.mean(0)  # small numbers: cv2 fits in single precision
    (x, y), axes, degrees = cv2.fitEllipse((oval - around).astype(np.float32))
    turn = np.deg2rad(degrees)
    along = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return around + (x, y), along @ np.diag(2 / np.array(axes)) @ along.T


def frame_of(points: npt.NDArray[np.floating]) -> Frame:
    """The square of the photograph that becomes the picture. `points` [468, >=2]."""
    right, left = (points[list(eye), :2].mean(0) for eye in (RIGHT_EYE, LEFT_EYE))
    level = angle(right, left)
    middle, unit = ellipse(points)
    turned = Frame(float(middle[0]), float(middle[1]), 1.0, level).matrix(1)[:, :2]
    # half the extent of an ellipse {A^-1 c : |c| <= 1} along x and y are the rows' lengths
    extent = 2 * np.linalg.norm(turned @ np.linalg.inv(unit), axis=1).max()
    return Frame(float(middle[0]), float(middle[1]), float(extent / FILL), level)


def mask(points: npt.NDArray[np.floating], size: int) -> npt.NDArray[np.bool_]:
    """Bool [size, size]: pixels whose middle is in the ellipse of `points`, in its pixels."""
    middle, unit = ellipse(points)
    (a, b), (_, c) = unit @ unit  # a x^2 + 2 b x y + c y^2 <= 1: in each row, from where to where
    grid = np.arange(size) + 0.5
    y = grid - middle[1]
    root = np.sqrt(np.maximum(b * b * y * y - a * (c * y * y - 1), 0))
    crossed = c * y * y - b * b * y * y / a <= 1
    left = np.where(crossed, middle[0] - (b * y + root) / a, np.inf)
    right = middle[0] - (b * y - root) / a
    return (grid >= left[:, None]) & (grid <= right[:, None])
