"""Values drawn on a face: on nobody's (the canonical mesh), or on somebody's that may be shown.

Warm speaks for the class, blue against it; every number is printed too, so that colour is not
needed to read it.
"""

from __future__ import annotations

import base64
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from eval.faces.region_shap import REGIONS
from eval.faces.seen import canonical_face
from eval.plots.style import INK, MUTED
from eval.reporting.text import minus

#: Against and for, of `plots.style.COLOURS`.
COOL, WARM = (0, 114, 178), (213, 94, 0)
#: Share of colour where a value is the largest.
STRONGEST = 0.75
#: Points of MediaPipe's mesh along eyes, lips and nose (face_landmarker.py), drawn so that the
#: regions are seen to lie on a face; closed but for the nose.
FEATURES = (
    (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246, 33),
    (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466, 263),
    (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185, 61),
    (61, 78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 291),
    (98, 97, 2, 326, 327),
)
#: Pixels of a centimetre of the canonical face, and around it.
SCALE, EDGE = 16.0, 10.0
QUALITY = 88


def colour(value: float, most: float) -> tuple[int, int, int]:
    """RGB of a value on white; `most` is the largest size that any value has."""
    share = STRONGEST * min(abs(value) / most, 1.0) if most > 0 else 0.0
    ink = np.array(WARM if value > 0 else COOL)
    red, green, blue = np.round(255 * (1 - share) + ink * share).astype(int).tolist()
    return red, green, blue


def region_face(values: Mapping[str, float], most: float, label: str, digits: int = 2) -> str:
    """SVG of the canonical face with a colour and a number in each region.

    Args:
        values: region -> value; a region without one is left white.
        most: of the colour scale.
        label: what it shows, for who cannot see it.
        digits: of the numbers.
    """
    paths, features, places, (width, height) = _outlines()
    parts = []
    for region in REGIONS:
        fill = "#fff"
        if region in values:
            fill = "#{:02x}{:02x}{:02x}".format(*colour(values[region], most))
        parts.append(
            f'<path d="{paths[region]}" fill="{fill}" stroke="{MUTED}" stroke-width="1" '
            'fill-rule="evenodd"/>'
        )
    parts.append(f'<path d="{features}" fill="none" stroke="{MUTED}" stroke-width="1.4"/>')
    for region in REGIONS:
        x, y = places[region]
        number = minus(f"{values[region]:+.{digits}f}") if region in values else "–"
        parts += [_text(x, y - 2, 10, 400, region), _text(x, y + 10, 12, 700, number)]
    return (
        f'<svg viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="{label}">'
        f"{''.join(parts)}</svg>"
    )


def _text(x: float, y: float, size: int, weight: int, text: str) -> str:
    """Ink on a white edge, twice because not every reader knows the order of painting."""
    at = f'x="{x:.1f}" y="{y:.1f}" font-size="{size}" font-weight="{weight}" text-anchor="middle"'
    edge = 'stroke="#fff" stroke-width="2.6" stroke-linejoin="round" fill="#fff" aria-hidden="true"'
    return f'<text {at} {edge}>{text}</text><text {at} fill="{INK}">{text}</text>'


Places = dict[str, tuple[float, float]]


@cache
def _outlines() -> tuple[dict[str, str], str, Places, tuple[float, float]]:
    """Each region's outline as an SVG path, eyes, lips and nose as another, where names of regions
    go, and the drawing's size."""
    points, corners, of = canonical_face()
    low = points.min(axis=0)
    xy = (points - low) * SCALE + EDGE
    size = xy.max(axis=0) + EDGE
    paths, places = {}, {}
    for number, region in enumerate(REGIONS, 1):
        mine = corners[of == number]
        loops = _loops(mine)
        paths[region] = "".join(
            "M" + "L".join(f"{xy[p, 0]:.1f} {xy[p, 1]:.1f}" for p in loop) + "Z" for loop in loops
        )
        mask = np.zeros((int(size[1]) + 1, int(size[0]) + 1), np.uint8)
        cv2.fillPoly(mask, [np.round(xy[t]).astype(np.int32).reshape(-1, 1, 2) for t in mine], 1)
        inside = np.asarray(distance_transform_edt(mask))
        # of places as wide as each other, the one nearest to the middle
        wide = np.argwhere(inside >= 0.97 * inside.max())
        y, x = wide[np.abs(wide[:, 1] - size[0] / 2).argmin()]
        places[region] = (float(x), float(y))
    lines = ["L".join(f"{xy[p, 0]:.1f} {xy[p, 1]:.1f}" for p in line) for line in FEATURES]
    return paths, "M" + "M".join(lines), places, (float(size[0]), float(size[1]))


def _loops(triangles: NDArray[np.int64]) -> list[list[int]]:
    """The border of a patch of triangles [n, 3], as closed chains of points."""
    count: dict[tuple[int, int], int] = defaultdict(int)
    for a, b, c in triangles.tolist():
        for edge in ((a, b), (b, c), (c, a)):
            count[min(edge), max(edge)] += 1
    after: dict[int, list[int]] = defaultdict(list)
    for (a, b), n in sorted(count.items()):
        if n == 1:
            after[a].append(b)
            after[b].append(a)
    loops = []
    while start := next((p for p in sorted(after) if after[p]), None):
        loop, here = [start], start
        while after[here]:
            there = after[here].pop()
            after[there].remove(here)
            loop.append(there)
            here = there
        loops.append(loop[:-1])
    return loops


def tinted(
    picture: NDArray[np.uint8], regions: NDArray[np.uint8], values: Sequence[float], most: float
) -> NDArray[np.uint8]:
    """A face [H, W, 3] under its regions' colours, with their borders."""
    out = picture.astype(np.float64)
    for number, value in enumerate(values, 1):
        share = STRONGEST * min(abs(value) / most, 1.0) if most > 0 else 0.0
        inside = regions == number
        out[inside] = out[inside] * (1 - share) + np.array(WARM if value > 0 else COOL) * share
    border = np.zeros(regions.shape, bool)
    border[1:] |= regions[1:] != regions[:-1]
    border[:, 1:] |= regions[:, 1:] != regions[:, :-1]
    out[border] = 255
    return out.round().astype(np.uint8)


def signed(values: NDArray, most: float) -> NDArray[np.uint8]:
    """A map [H, W] as a picture [H, W, 3] on white."""
    share = STRONGEST * np.clip(np.abs(values) / most, 0, 1)[..., None] if most > 0 else 0.0
    ink = np.where(values[..., None] > 0, np.array(WARM), np.array(COOL))
    return np.round(255 * (1 - share) + ink * share).astype(np.uint8)


def address(rgb: NDArray[np.uint8]) -> str:
    """A picture [H, W, 3] as a JPEG in a data address."""
    ok, data = cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    assert ok
    return f"data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode()}"
