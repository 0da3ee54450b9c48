"""Chords through hollow bones, accumulated pixel by pixel: the only compiled code of the phantom.

A long bone is a tube: a cortical shell around marrow and trabeculae. The path of an X-ray through
a cylinder of radius R at distance d from its axis is the chord ``2 sqrt(R^2 - d^2)``; the shell's
path is the outer chord minus the inner one. Lengths are in millimetres, positions too.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]


@numba.njit(cache=True, nogil=True)
def _window(points, k, origin, pitch, rows, columns):
    """Rows and columns that segment k of a tube can touch: first and last, inclusive."""
    reach = max(points[k, 2], points[k + 1, 2]) + pitch
    left, right = min(points[k, 0], points[k + 1, 0]), max(points[k, 0], points[k + 1, 0])
    top, bottom = min(points[k, 1], points[k + 1, 1]), max(points[k, 1], points[k + 1, 1])
    return (
        max(int((top - reach - origin[1]) / pitch), 0),
        min(int((bottom + reach - origin[1]) / pitch) + 1, rows - 1),
        max(int((left - reach - origin[0]) / pitch), 0),
        min(int((right + reach - origin[0]) / pitch) + 1, columns - 1),
    )


@numba.njit(cache=True, nogil=True)
def splat_tube(
    cortical: Field,
    trabecular: Field,
    scratch: Field,
    points: NDArray[np.float64],
    fill: float,
    origin: tuple[float, float],
    pitch: float,
) -> None:
    """Add one tube's cortical and inner paths (mm) to two fields, in place.

    Args:
        cortical: (rows, columns), mm of shell.
        trabecular: (rows, columns), mm of bone in the core: inner chord times `fill`.
        scratch: (2, rows, columns), zero before and after: within a tube the longest chord counts.
        points: (n, 5): x mm, y mm, radius mm, shell mm, depth factor (path per frontal chord).
        fill: share of the core that is bone, 0 to 1.
        origin: x and y in mm of the centre of pixel (0, 0).
        pitch: mm per pixel.
    """
    rows, columns = cortical.shape
    n = points.shape[0]
    for k in range(n - 1):
        ax, ay = points[k, 0], points[k, 1]
        dx, dy = points[k + 1, 0] - ax, points[k + 1, 1] - ay
        i0, i1, j0, j1 = _window(points, k, origin, pitch, rows, columns)
        length2 = dx * dx + dy * dy + 1e-9
        for i in range(i0, i1 + 1):
            py = origin[1] + i * pitch - ay
            for j in range(j0, j1 + 1):
                px = origin[0] + j * pitch - ax
                s = min(max((px * dx + py * dy) / length2, 0.0), 1.0)
                ex, ey = px - s * dx, py - s * dy
                d2 = ex * ex + ey * ey
                radius = points[k, 2] + s * (points[k + 1, 2] - points[k, 2])
                if d2 >= radius * radius:
                    continue
                depth = 2.0 * (points[k, 4] + s * (points[k + 1, 4] - points[k, 4]))
                inner = max(radius - points[k, 3] - s * (points[k + 1, 3] - points[k, 3]), 0.0)
                hollow = 0.0
                if d2 < inner * inner:
                    hollow = depth * np.sqrt(inner * inner - d2)
                shell = depth * np.sqrt(radius * radius - d2) - hollow
                if shell + hollow > scratch[0, i, j] + scratch[1, i, j]:
                    scratch[0, i, j] = shell
                    scratch[1, i, j] = hollow
    for k in range(n - 1):  # move what was drawn into the fields, and leave zeros
        i0, i1, j0, j1 = _window(points, k, origin, pitch, rows, columns)
        for i in range(i0, i1 + 1):
            for j in range(j0, j1 + 1):
                cortical[i, j] += scratch[0, i, j]
                trabecular[i, j] += fill * scratch[1, i, j]
                scratch[0, i, j] = 0.0
                scratch[1, i, j] = 0.0


@numba.njit(cache=True, nogil=True)
def splat_tubes(
    cortical: Field,
    trabecular: Field,
    scratch: Field,
    points: NDArray[np.float64],
    starts: NDArray[np.int64],
    fills: NDArray[np.float64],
    origin: tuple[float, float],
    pitch: float,
) -> None:
    """`splat_tube` for tube k = ``points[starts[k]:starts[k + 1]]`` with ``fills[k]``."""
    for k in range(len(fills)):
        tube = points[starts[k] : starts[k + 1]]
        splat_tube(cortical, trabecular, scratch, tube, fills[k], origin, pitch)


@numba.njit(cache=True, nogil=True)
def splat_vertebra(
    cortical: Field,
    trabecular: Field,
    box: NDArray[np.float64],
    fill: float,
    origin: tuple[float, float],
    pitch: float,
) -> None:
    """Add one vertebral body: a waisted box with end plates, side walls and a trabecular core.

    Args:
        cortical: (rows, columns), mm of shell, added to.
        trabecular: (rows, columns), mm of bone in the core, added to.
        box: x, y of the centre, half width, half height, half depth, tilt (radians), shell (mm).
        fill: share of the core that is bone, 0 to 1.
        origin: x and y in mm of the centre of pixel (0, 0).
        pitch: mm per pixel.
    """
    rows, columns = cortical.shape
    x, y, half_w, half_h, half_d, tilt, shell = box
    cos, sin = np.cos(tilt), np.sin(tilt)
    reach = np.sqrt(half_w * half_w + half_h * half_h) + pitch
    j0 = max(int((x - reach - origin[0]) / pitch), 0)
    j1 = min(int((x + reach - origin[0]) / pitch) + 1, columns - 1)
    i0 = max(int((y - reach - origin[1]) / pitch), 0)
    i1 = min(int((y + reach - origin[1]) / pitch) + 1, rows - 1)
    for i in range(i0, i1 + 1):
        for j in range(j0, j1 + 1):
            px = origin[0] + j * pitch - x
            py = origin[1] + i * pitch - y
            u = cos * px + sin * py
            v = cos * py - sin * px
            waist = half_w * (0.88 + 0.12 * (v / half_h) ** 2)
            # Half-pixel ramps instead of hard edges; a detector element averages over its area.
            inside = min(max((waist - abs(u)) / pitch + 0.5, 0.0), 1.0)
            inside *= min(max((half_h - abs(v)) / pitch + 0.5, 0.0), 1.0)
            if inside == 0.0:
                continue
            depth = 2.0 * half_d * np.sqrt(max(1.0 - 0.75 * (u / half_w) ** 2, 0.04))
            plate = min(max((abs(v) - (half_h - shell)) / pitch + 0.5, 0.0), 1.0)
            wall = min(max((abs(u) - (waist - shell)) / pitch + 0.5, 0.0), 1.0)
            rim = 0.55 * max(plate, wall)  # end plates bulge: a ray meets them for part of its path
            front_and_back = 2.0 * shell
            core = max(depth - front_and_back, 0.0)
            cortical[i, j] += inside * (front_and_back + rim * core)
            trabecular[i, j] += fill * inside * (1.0 - rim) * core
