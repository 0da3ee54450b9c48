"""How far the eyes are open, by MediaPipe's mesh with attention.

    right, left = openness(photo, points)    # 0 shut, about 0.3 open

The plain mesh hardly follows a lid (of an astronaut's eyes drawn shut it still says 0.23, open
0.33). The mesh with attention looks at the eyes a second time, closer, and does. Its other points
are not used: the model the paper names is the plain one.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from data_sharding.faces.graphs import Graph
from data_sharding.faces.mesh import CONFIG, around, points_in, whole
from data_sharding.faces.sampling import Levels

# outer corner, inner corner; then pairs of upper and lower lid, of the person's right and left eye
LIDS = (
    ((33, 133), (160, 144), (159, 145), (158, 153)),
    ((263, 362), (387, 373), (386, 374), (385, 380)),
)


def openness(photo: Levels, points: npt.NDArray[np.floating]) -> tuple[float, float] | None:
    """Height of the person's right and left eye's opening by its width, in the photograph.

    The eye aspect ratio (Soukupová and Čech 2016) over three pairs of lid points. `points`: of
    the plain mesh, [468, 3], which says where to look. None where the model sees no face.
    """
    found = points_in(photo, around(points), _graph())
    return None if found is None else ratios(found)


def ratios(points: npt.NDArray[np.floating]) -> tuple[float, float]:
    """Both eyes' aspect ratio from mesh points, [>=468, >=2]."""
    seen = points[:, :2]
    right, left = (
        sum(np.linalg.norm(seen[a] - seen[b]) for a, b in lids)
        / (len(lids) * np.linalg.norm(seen[outer] - seen[inner]))
        for (outer, inner), *lids in LIDS
    )
    return float(right), float(left)


@cache
def _graph() -> Graph:
    """One mesh with attention a process."""
    return Graph(CONFIG, "points", {"attention": True}, whole=whole())
