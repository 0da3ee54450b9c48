"""Which pixels of a phantom's radiograph are bone, lung, other body, background or lead marker.

Masks are derived from the very path lengths that the picture was rendered from: nothing is stored
beside the pictures, and no byte of a world changes. Regions share no pixel: where bone lies over
lung it is bone, and the lead marker hides whatever is behind it.

::

    parts = regions(story, shot, ASAN, seed=0, size=512)   # bool, in the room's own matrix
    shares(parts["bone"], 512)                             # float32, as the packed picture is
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from data_sharding.phantom.anatomy import (
    NOTHING,
    Findings,
    frontal,
    frontal_lung,
    lateral,
    lateral_lung,
)
from data_sharding.phantom.rendering import draw_token, stamp, stand
from data_sharding.phantom.stories import Shot, Story
from data_sharding.phantom.vendors import Site

REGIONS = ("bone", "lung", "other body", "outside", "marker")


def regions(
    story: Story,
    shot: Shot,
    site: Site,
    *,
    seed: int,
    size: int,
    confounder: float = 0.0,
    findings: Findings = NOTHING,
    heart: float = 1.0,
) -> dict[str, npt.NDArray[np.bool_]]:
    """The regions of a radiograph, arguments as `rendering.render`.

    Returns:
        `REGIONS` -> bool (rows, columns) of the room's matrix; every pixel is in exactly one.
        Bone is all bone a ray meets: vertebrae, ribs, clavicles, scapulae, humeri, sternum. Lung is
        where a ray meets aerated lung and no bone; outside is where it meets nothing.
    """
    build, habitus = stand(story, shot, site, seed, heart)
    grid, latent = site.rooms[shot.room].grid(size), story.latent_on(shot.day)
    if shot.view == "LL":
        paths, air = lateral(build, habitus, latent, grid), lateral_lung(build, habitus, grid)
    else:
        paths = frontal(build, habitus, latent, grid, findings)
        air = frontal_lung(build, habitus, grid, findings)
    lead = np.zeros_like(paths.soft)
    stamp(lead, grid.pitch, draw_token(story, shot, site, seed, confounder))
    marker = lead > 0
    bone = (paths.bone > 0) & ~marker
    body = (paths.soft + paths.fat > 0) & ~marker & ~bone
    lung = body & (air > 0)
    return {
        "bone": bone,
        "lung": lung,
        "other body": body & ~lung,
        "outside": ~(bone | body | marker),
        "marker": marker,
    }


def shares(mask: npt.NDArray[np.bool_ | np.floating], size: int) -> npt.NDArray[np.float32]:
    """The share of each pixel that a mask covers once the picture is resized by area.

    Args:
        mask: bool or float in [0, 1], [H, W].
        size: side of the square result; no aspect is kept, as in packing.

    Returns:
        float32 [size, size] in [0, 1]; shares of masks that part a picture sum to 1.
    """
    rows, columns = (_overlap(n, size) for n in mask.shape)
    return np.asarray(rows @ mask.astype(np.float32) @ columns.T, np.float32)


@lru_cache(maxsize=8)
def _overlap(n: int, size: int) -> npt.NDArray[np.float32]:
    """[size, n]: the share of target pixel i that lies on source pixel j; rows sum to 1."""
    edges = np.arange(size + 1)[:, None] * n / size  # in source pixels
    source = np.arange(n)
    low, high = np.maximum(edges[:-1], source), np.minimum(edges[1:], source + 1)
    return (np.maximum(high - low, 0) * size / n).astype(np.float32)
