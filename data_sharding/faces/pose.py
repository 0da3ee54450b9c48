"""Which way a face looks: the turn of MediaPipe's canonical face that fits its points best.

    pose = pose_of(points)               # Pose(yaw, pitch, roll), degrees

A rigid fit with one scale (Kabsch 1976, Umeyama 1991) of all 468 points. The mesh's depth is a
guess of its model, so a turn is too: see `tests/data_sharding/faces/test_pose.py` for how far it
is off on faces turned by a known angle.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from data_sharding.faces.canonical import canonical


class Pose(NamedTuple):
    """Degrees. 0, 0, 0 looks into the camera.

    `yaw`: nose towards the right edge of the picture is positive. `pitch`: chin up is positive.
    `roll`: head tilted clockwise in the picture is positive.
    """

    yaw: float
    pitch: float
    roll: float


def pose_of(points: npt.NDArray[np.floating]) -> Pose:
    """Pose of `points`, [468, 3]: x right, y down, z away from the camera, in one unit."""
    model = canonical()
    seen = np.asarray(points, np.float64) * (1, -1, -1)  # to the model's axes
    u, _, vt = np.linalg.svd((seen - seen.mean(0)).T @ (model - model.mean(0)))
    proper = np.diag([1, 1, np.sign(np.linalg.det(u @ vt))])  # no mirror image
    turn = u @ proper @ vt  # = Rz(-roll) Ry(yaw) Rx(-pitch), of the model
    yaw = np.arcsin(np.clip(-turn[2, 0], -1, 1))
    pitch = -np.arctan2(turn[2, 1], turn[2, 2])
    roll = -np.arctan2(turn[1, 0], turn[0, 0])
    return Pose(*(float(np.degrees(a)) for a in (yaw, pitch, roll)))
