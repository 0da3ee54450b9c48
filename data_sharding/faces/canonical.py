"""MediaPipe's canonical face: the 468 points of a neutral, frontal, symmetric face, in cm."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

_FILE = Path(__file__).with_name("canonical.json")
POINTS = 468


@lru_cache(maxsize=1)
def canonical() -> npt.NDArray[np.float64]:
    """Float64 [468, 3], read-only: x to the person's left, y up, z towards the camera."""
    half = np.array(json.loads(_FILE.read_text())["points"], np.float64)
    points = np.concatenate([half, half[half[:, 0] != 0] * (-1, 1, 1)])
    assert points.shape == (POINTS, 3)
    points.flags.writeable = False
    return points


@lru_cache(maxsize=1)
def mirror() -> npt.NDArray[np.int64]:
    """int64 [468], read-only: point i's counterpart in the other half; itself on the middle."""
    points = canonical()
    half = POINTS - int((points[:, 0] > 0).sum())
    side = np.flatnonzero(points[:half, 0])
    pairs = np.arange(POINTS)
    pairs[side] = np.arange(half, POINTS)
    pairs[half:] = side
    pairs.flags.writeable = False
    return pairs
