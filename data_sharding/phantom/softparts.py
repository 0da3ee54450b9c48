"""Lungs, heart, vessels and the body's outline as two-dimensional fields of path length (mm).

x (1, columns) and y (rows, 1) are in the patient's own frame: x = 0 is the midline, x > 0 the
patient's left, y grows downwards. Every function returns float32 of shape (rows, columns).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data_sharding.phantom.skeleton import CAGE_HALF_WIDTH, Build, spine_levels
from data_sharding.phantom.strokes import Field, splat_tubes

#: Outline of neck, shoulders and trunk: half width and half depth (mm) at heights y (mm).
OUTLINE_Y = (-60, -12, 4, 20, 40, 75, 125, 175, 250, 330, 440)
OUTLINE_WIDTH = (60, 62, 84, 134, 182, 192, 186, 175, 169, 164, 168)
OUTLINE_DEPTH = (56, 58, 62, 66, 74, 92, 104, 110, 108, 102, 104)


@dataclass(frozen=True)
class Habitus:
    """Soft parts of one patient at one examination. Lengths in mm unless named otherwise."""

    wide: float  # ratio
    deep: float  # ratio
    fat: float
    breast: float
    dome: float  # y of the right diaphragm
    heart: float  # ratio
    aorta: float  # ratio
    gas: float  # radius of the gastric bubble
    vessels: int  # seed of the vascular tree
    texture: int  # seed of the trabecular texture
    rotation: float  # degrees about the long axis
    shift: tuple[float, float]  # how the patient stands before the detector


def draw_habitus(
    rng: np.random.Generator,
    build: Build,
    bmi: float,
    age: float,
    female: bool,
    view: str,
    heart: float = 1.0,
) -> Habitus:
    """Draw soft parts and positioning; AP pictures are less inspired and more rotated."""
    n = rng.standard_normal(11).tolist()
    supine = view == "AP"
    y, _ = spine_levels(build)
    return Habitus(
        wide=build.wide * (1 + 0.012 * (bmi - 24)) * (1 + 0.02 * n[0]),
        deep=build.deep * (1 + 0.018 * (bmi - 24)) * (1 + 0.04 * n[1]),
        fat=float(np.clip(9 + 1.5 * (bmi - 24) + (4 if female else 0) + 2 * n[2], 3, 40)),
        breast=float(np.clip(26 + 1.6 * (bmi - 24) + 8 * n[3], 8, 60)) if female else 0.0,
        dome=float(y[9] - 6 + 9 * n[4] - (22 if supine else 0)),
        heart=float((1 + 0.07 * n[5] + 0.002 * (age - 57)) * (1.14 if supine else 1.0) * heart),
        aorta=float(1 + 0.1 * n[6] + 0.008 * (age - 57)),
        gas=float(max(0.0, 16 + 9 * n[7])),
        vessels=int(rng.integers(1 << 31)),
        texture=int(rng.integers(1 << 31)),
        rotation=float((4.5 if supine else 2.2) * n[8]),
        shift=(float(6 * n[9]), float(6 * n[10])),
    )


def body(build: Build, habitus: Habitus, x: Field, y: Field) -> tuple[Field, Field]:
    """(whole body, body without its fat) along each ray of a frontal view."""
    level = y[:, 0] - (build.top - 36) + np.where(y[:, 0] < 100, build.shoulder_raise * 0.6, 0.0)
    half_w = np.interp(level, OUTLINE_Y, OUTLINE_WIDTH) * habitus.wide
    half_d = np.interp(level, OUTLINE_Y, OUTLINE_DEPTH) * habitus.deep
    fat = habitus.fat * np.interp(level, [0, 60, 330], [0.4, 0.8, 1.2])
    whole, lean = (_barrel(x, half_w - cut, half_d - cut) for cut in (0.0, fat))
    cos, sin = math.cos(math.radians(build.abduction)), math.sin(math.radians(build.abduction))
    for side in (-1.0, 1.0):
        joint, shoulder = side * 174 * build.wide, build.top + 34
        across = (x - joint) * cos - (y - shoulder) * (side * sin)
        along = (y - shoulder) * cos + (x - joint) * (side * sin)
        girth = 44 * habitus.wide
        across /= girth
        beyond = np.minimum(along, 0) / girth
        arm = 2 * girth * np.sqrt(np.maximum(1 - across * across - beyond * beyond, 0))
        np.maximum(whole, arm, out=whole)
        np.maximum(lean, arm * np.float32(0.86), out=lean)
        if habitus.breast:
            bulge = ball(x, y, side * 78 * build.wide, build.top + 205, 62, 68, habitus.breast / 2)
            whole += bulge
            lean += np.float32(0.35) * bulge
    return whole, np.minimum(lean, whole)


def lungs(build: Build, habitus: Habitus, x: Field, y: Field) -> Field:
    """Aerated lung: the thorax's chord without mediastinum, cut by the diaphragm's domes."""
    levels, _ = spine_levels(build)
    rows = y[:, 0]
    cage = np.asarray(CAGE_HALF_WIDTH) * build.wide - 5
    apex = levels[0] - 4
    # A rib's lateral bend lies about 40 mm below its head.
    knots = np.concatenate([[apex, apex + 12], levels[:12] + 36])
    lateral = np.interp(rows, knots, np.concatenate([[22, 40], cage]), left=0.01)
    depth = np.interp(rows, [apex, apex + 40, apex + 120, apex + 400], [8, 70, 86, 92]) * build.deep
    depth = np.where(rows < apex - 2, 0.0, depth)
    left_edge = np.interp(rows, [apex, apex + 60, apex + 120, apex + 250], [19, 24, 26, 22])
    right_edge = np.interp(rows, [apex, apex + 60, apex + 120, apex + 250], [20, 22, 24, 22])
    chord = _barrel(x, lateral, depth)
    edges = (e.astype(np.float32)[:, None] for e in (right_edge, left_edge))
    edge = np.where(x < 0, *edges)
    # Lung reaches in front of the spine and beside it: the mediastinum's edge is gradual.
    chord *= np.clip((np.abs(x) - edge) / 20 + 0.5, 0, 1)
    # Below the dome's silhouette only the recess behind the liver holds lung.
    dome = habitus.dome + np.where(x > 0, 13.0, 0.0)
    bend = (np.abs(x) - 62 * build.wide) / (70 * build.wide)
    below = y - (dome + np.where(bend > 0, 42.0, 15.0) * bend * bend).astype(np.float32)
    front = np.clip(0.5 - below / 3, 0, 1)
    recess = np.clip(1 - below / 75, 0, 1)
    front *= np.float32(0.72)
    recess *= np.float32(0.28)
    return (chord * (front + recess)).astype(np.float32, copy=False)


def heart(build: Build, habitus: Habitus, x: Field, y: Field) -> Field:
    """Heart, aortic arch, descending aorta and great veins, which displace lung."""
    h, a = habitus.heart * build.wide, habitus.aorta
    base = habitus.dome - 40
    lean = 60 * math.sin(
        math.radians(habitus.rotation)
    )  # the heart lies in front: rotation carries it sideways
    parts = (
        (34 * h + lean, base + 8, 66 * h, 46 * h, 46 * h, 0.72),
        (24 * h + lean, base - 22, 34 * h, 50 * h, 36 * h, -0.35),
        (-14 * h + lean, base + 4, 34 * h, 50 * h, 36 * h, 0.0),
        (20 + lean / 2, build.top + 104, 18 * a, 19 * a, 24 * a, 0.0),
        (-16 + lean / 2, build.top + 104, 14, 66, 18, 0.0),
    )
    total = ball(x, y, *parts[0])
    for part in parts[1:]:
        np.maximum(total, ball(x, y, *part), out=total)
    return total


def vessels(
    build: Build,
    habitus: Habitus,
    shape: tuple[int, int],
    origin: tuple[float, float],
    pitch: float,
) -> Field:
    """Hilar and pulmonary vessels: a random tree on each side, as path of blood (mm)."""
    rng = np.random.default_rng(habitus.vessels)
    # One row for each branch of a generation: x, y, heading, radius, length.
    heading = np.tile((-1.2, -0.55, 0.0, 0.5, 0.95, 1.35), 2) + rng.normal(0, 0.1, 12)
    side = np.repeat((-1.0, 1.0), 6)
    x, y = side * 30 * build.wide, build.top + 134 + 6 * side
    heading = np.where(side > 0, heading, np.pi - heading)
    radius, length = rng.uniform(4.2, 6.0, 12), rng.uniform(26, 36, 12)
    lines = []
    for _ in range(3):
        bends = heading[:, None] + np.cumsum(rng.normal(0, 0.16, (len(x), 5)), axis=1)
        step = length[:, None] / 5
        # xs, ys, radii: (branches, 6 points)
        xs = np.concatenate([x[:, None], x[:, None] + np.cumsum(np.cos(bends) * step, 1)], axis=1)
        ys = np.concatenate([y[:, None], y[:, None] + np.cumsum(np.sin(bends) * step, 1)], axis=1)
        radii = radius[:, None] * np.linspace(1, 0.68, 6)
        lines += list(np.stack([xs, ys, radii, radii, np.ones_like(xs)], axis=2))
        x, y = np.repeat(xs[:, -1], 2), np.repeat(ys[:, -1], 2)
        fork = np.tile((-0.42, 0.38), len(bends)) + rng.normal(0, 0.12, 2 * len(bends))
        heading = np.repeat(bends[:, -1], 2) + fork
        radius, length = np.repeat(0.66 * radius, 2), np.repeat(0.8 * length, 2)
    return _solid(lines, shape, origin, pitch)


def gas(build: Build, habitus: Habitus, x: Field, y: Field) -> Field:
    """Air that is not lung: trachea, main bronchi, the stomach's bubble."""
    carina = build.top + 112
    trachea = [[0.0, -20, 8], [1.5, 40, 8.4], [-2.0, carina, 8.8]]
    right = [[-2.0, carina - 4, 6.4], [-26, carina + 24, 5.4]]
    left = [[-2.0, carina - 4, 6.0], [34, carina + 26, 5.0]]
    lines = []
    for airway in (trachea, right, left):
        line = np.array(airway)
        lines.append(np.column_stack([line, line[:, 2], np.ones(len(line))]))
    pitch = float(x[0, 1] - x[0, 0])
    shape = (y.shape[0], x.shape[1])
    path = _solid(lines, shape, (float(x[0, 0]), float(y[0, 0])), pitch)
    if habitus.gas > 6:
        r = habitus.gas
        path += ball(x, y, 62 * build.wide, habitus.dome + 24 + r, 1.5 * r, r, 1.3 * r)
    return path


def ball(
    x: Field, y: Field, cx: float, cy: float, ax: float, ay: float, az: float, tilt: float = 0.0
) -> Field:
    """Chords (mm) through an ellipsoid: ``2 az sqrt(1 - u^2 - v^2)``; tilt in radians."""
    path = np.zeros((y.shape[0], x.shape[1]), np.float32)
    reach = max(ax, ay)
    i0, i1 = np.searchsorted(y[:, 0], (cy - reach, cy + reach))
    j0, j1 = np.searchsorted(x[0], (cx - reach, cx + reach))
    cos, sin = math.cos(tilt), math.sin(tilt)
    dx, dy = x[:, j0:j1] - np.float32(cx), y[i0:i1] - np.float32(cy)
    u = dx * np.float32(cos / ax) + dy * np.float32(sin / ax)
    v = dy * np.float32(cos / ay) - dx * np.float32(sin / ay)
    path[i0:i1, j0:j1] = np.float32(2 * az) * np.sqrt(np.maximum(1 - u * u - v * v, 0))
    return path


def _barrel(x: Field, half_w: NDArray[np.float64], half_d: NDArray[np.float64]) -> Field:
    """Chords through a squarish barrel: ``2 d sqrt(1 - (x / w)^4)``, row by row."""
    u = x / np.maximum(half_w, 1e-3).astype(np.float32)[:, None]
    u *= u
    return 2 * half_d.astype(np.float32)[:, None] * np.sqrt(np.maximum(1 - u * u, 0))


def _solid(
    lines: list[np.ndarray], shape: tuple[int, int], origin: tuple[float, float], pitch: float
) -> Field:
    """Chords (mm) through tubes that are all shell; lines of shape (n, 5)."""
    path, core = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    scratch = np.zeros((2, *shape), np.float32)
    starts = np.concatenate([[0], np.cumsum([len(line) for line in lines])])
    none = np.zeros(len(lines))
    splat_tubes(path, core, scratch, np.concatenate(lines), starts, none, origin, pitch)
    return path
