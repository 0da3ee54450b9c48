"""The 468 points of a face: MediaPipe's mesh, drawn around twice.

    points = mesh(photo, box)            # float64 [468, 3] in the photograph's pixels, or None

The mesh model looks at 192 pixels around a face that is upright. The detector's box is a first,
coarse frame; the points found in it give a second, and only what is found there is kept: the same
two steps for every picture, where a video would have gone on from the frame before.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from data_sharding.faces.finder import Box
from data_sharding.faces.graphs import Graph, mediapipe
from data_sharding.faces.sampling import Floats, Frame, Levels, sample

SIDE = 192  # of the model's input
MARGIN = 1.5  # side of the frame by the longer side of box or points, as MediaPipe's graphs have it
RIGHT_EYE, LEFT_EYE = (33, 133), (362, 263)  # the person's; outer and inner corner in turn

CONFIG = """
input_stream: "image"
input_stream: "whole"
input_side_packet: "attention"
output_stream: "points"
node {
  calculator: "FaceLandmarkCpu"
  input_stream: "IMAGE:image"
  input_stream: "ROI:whole"
  input_side_packet: "WITH_ATTENTION:attention"
  output_stream: "LANDMARKS:points"
}
"""


def mesh(photo: Levels, box: Box) -> Floats | None:
    """Float64 [468, 3]: x right, y down, z away from the camera, all in the photograph's pixels.

    None where the model sees no face in the frame, which it is the judge of.
    """
    turn = angle(np.array(box.right_eye), np.array(box.left_eye))
    graph = _graph()
    first = points_in(photo, Frame(box.x, box.y, MARGIN * box.side, turn), graph)
    return None if first is None else points_in(photo, around(first), graph)


def around(points: npt.NDArray[np.floating]) -> Frame:
    """The upright square frame that the mesh model wants around these points, [468, >=2]."""
    turn = angle(points[33], points[263])
    low, high = points[:, :2].min(0), points[:, :2].max(0)
    x, y = (low + high) / 2
    return Frame(float(x), float(y), float(MARGIN * (high - low).max()), turn)


def angle(right: npt.NDArray[np.floating], left: npt.NDArray[np.floating]) -> float:
    """Degrees, clockwise, by which the line from the person's right eye to the left is turned."""
    return float(np.degrees(np.arctan2(left[1] - right[1], left[0] - right[0])))


def points_in(photo: Levels, frame: Frame, graph: Graph) -> Floats | None:
    """What a mesh model finds in one frame, [n, 3] in the photograph's pixels; None if no face."""
    packet = graph(sample(photo, frame, SIDE))
    if packet is None:
        return None
    found = np.array([(p.x, p.y, p.z) for p in mediapipe().get.get_proto(packet).landmark])
    inverse = frame.inverse(SIDE)
    return np.c_[found[:, :2] * SIDE @ inverse[:, :2].T + inverse[:, 2], found[:, 2] * frame.side]


def whole() -> Any:
    """The region a mesh graph is told to look at: all of the picture it is given."""
    return mediapipe().NormalizedRect(x_center=0.5, y_center=0.5, width=1, height=1)


@cache
def _graph() -> Graph:
    """One mesh a process."""
    return Graph(CONFIG, "points", {"attention": False}, whole=whole())
