"""What bone loss, age, weight and identity do to a face: displacement and shade, in tables.

    drawn().shape    # effect -> float32 [2, 360, 320]: displacement in canvas pixels, at half size
    drawn().shade    # effect -> float32 [720, 640]: change of log brightness

An effect is bumps (vertices move, and their surroundings with them) and shades (blobs at vertices,
lines along chains of vertices). Lengths are in units of the distance between the outer corners of
the eyes, ``out`` is away from the midline, ``down`` towards the chin. A region's sign is cut off
where its region ends, so that nothing of it is seen elsewhere. After Mendelson and Wong 2012 and
the Face2Bone paper's introduction: orbits widen and lids sink, the malar bone and the nose's tip
descend, folds deepen over a retreating maxilla, the mandible shrinks and hollows before the jowl.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RBFInterpolator

from data_sharding.faces.regions import REGIONS, region_map
from data_sharding.phantom.faces.portrait import (
    EYE_CORNERS,
    EYES,
    HEIGHT,
    WIDTH,
    Field,
    grid,
    neutral,
    smoothstep,
)

BORDER = 28.0  # canvas pixels from a region's border to where it moves freely

Pair = tuple[int, int]  # the vertex on the right of the person, and its mirror image


@dataclass(frozen=True)
class Bump:
    """Vertices that move by (out, down), and a Gaussian's `sigma` around them."""

    at: Pair | tuple[int]
    sigma: float
    out: float
    down: float


@dataclass(frozen=True)
class Blob:
    """A soft spot: log brightness `gain` in its middle."""

    at: Pair | tuple[int]
    sigma: float
    gain: float


@dataclass(frozen=True)
class Line:
    """A crease along vertices, moved by (out, down): a dark core of `sigma` in a wider shadow."""

    along: tuple[int, ...]
    sigma: float
    gain: float
    out: float = 0.0
    down: float = 0.0


@dataclass(frozen=True)
class Effect:
    """Everything one number changes."""

    bumps: tuple[Bump, ...] = ()
    shades: tuple[Blob | Line, ...] = ()


#: Region -> what one standard deviation of its sign does.
SIGNS = {
    "forehead": Effect(
        (),
        (
            Blob((68, 298), 0.11, -0.10),
            Line((104, 69, 108, 151, 337, 299, 333), 0.022, -0.10, down=0.02),
            Blob((9,), 0.06, -0.06),
        ),
    ),
    "periorbital": Effect(
        (
            Bump((159, 386), 0.07, 0.0, 0.013),
            Bump((145, 374), 0.07, 0.0, -0.004),
            Bump((105, 334), 0.10, 0.0, 0.012),
        ),
        (
            Line((243, 233, 232, 231, 230, 229), 0.022, -0.12),
            Line((463, 453, 452, 451, 450, 449), 0.022, -0.12),
            Blob((224, 444), 0.07, -0.06),
        ),
    ),
    "midface": Effect(
        (
            Bump((50, 280), 0.15, -0.012, 0.024),
            Bump((4,), 0.09, 0.0, 0.025),
        ),
        (Blob((117, 346), 0.13, -0.07), Blob((187, 411), 0.11, -0.10), Blob((5,), 0.05, -0.03)),
    ),
    "nasolabial": Effect(
        (
            Bump((61, 291), 0.12, -0.006, 0.028),
            Bump((0,), 0.08, 0.0, 0.014),
            Bump((17,), 0.08, 0.0, -0.008),
        ),
        (
            Line((129, 203, 206, 216, 212), 0.014, -0.27, out=-0.030),
            Line((358, 423, 426, 436, 432), 0.014, -0.27, out=-0.030),
            Line((61, 57, 43, 106), 0.016, -0.18),
            Line((291, 287, 273, 335), 0.016, -0.18),
            Blob((165, 391), 0.08, -0.05),
        ),
    ),
    "jawline": Effect(
        (
            Bump((136, 365), 0.20, -0.018, -0.004),
            Bump((172, 397), 0.20, -0.011, 0.0),
            Bump((152,), 0.20, 0.0, -0.020),
        ),
        (Blob((169, 394), 0.11, -0.09), Blob((135, 364), 0.10, -0.06), Blob((199,), 0.07, -0.04)),
    ),
}

#: Effects that know nothing of bone: one unit is one standard deviation, or said beside.
OTHERS = {
    "age": Effect(  # a decade beyond 57 years
        (Bump((105, 334), 0.16, 0.0, 0.006), Bump((214, 434), 0.14, 0.004, 0.006)),
        (
            Line((104, 69, 108, 151, 337, 299, 333), 0.011, -0.10),
            Line((103, 67, 109, 10, 338, 297, 332), 0.011, -0.08),
            Line((55, 8), 0.010, -0.05),
            Line((285, 8), 0.010, -0.05),
            Line((130, 226, 35), 0.010, -0.09),
            Line((359, 446, 265), 0.010, -0.09),
            Line((130, 25, 31), 0.010, -0.08),
            Line((359, 255, 261), 0.010, -0.08),
        ),
    ),
    "bmi": Effect(  # 4 kg/m2 beyond 24
        (
            Bump((132, 361), 0.26, 0.030, 0.0),
            Bump((172, 397), 0.22, 0.030, 0.006),
            Bump((152,), 0.20, 0.0, 0.012),
        ),
        (Blob((187, 411), 0.12, 0.04), Blob((152,), 0.14, 0.03)),
    ),
    "male": Effect(  # 1 for a man
        (
            Bump((172, 397), 0.18, 0.035, 0.010),
            Bump((152,), 0.14, 0.0, 0.020),
            Bump((105, 334), 0.14, 0.0, 0.014),
            Bump((48, 278), 0.08, 0.010, 0.0),
        ),
        (
            Line((70, 63, 105, 66, 107), 0.016, -0.22),
            Line((336, 296, 334, 293, 300), 0.016, -0.22),
        ),
    ),
    "face_width": Effect((Bump((234, 454), 0.45, 0.022, 0.0),)),
    "face_length": Effect((Bump((152,), 0.30, 0.0, 0.030),)),
    "chin_width": Effect((Bump((149, 378), 0.12, 0.018, 0.0),)),
    "eye_spacing": Effect((Bump((159, 386), 0.13, 0.016, 0.0),)),
    "eye_size": Effect((Bump((159, 386), 0.06, 0.0, -0.007), Bump((145, 374), 0.06, 0.0, 0.004))),
    "eye_slant": Effect((Bump((33, 263), 0.07, 0.0, -0.014),)),
    "brow_height": Effect((Bump((105, 334), 0.13, 0.0, -0.016),)),
    "nose_width": Effect((Bump((48, 278), 0.08, 0.014, 0.0),)),
    "nose_length": Effect((Bump((2,), 0.10, 0.0, 0.018),)),
    "nose_bridge": Effect((), (Line((168, 197, 5), 0.030, 0.06),)),
    "mouth_width": Effect((Bump((61, 291), 0.10, 0.016, 0.0),)),
    "mouth_height": Effect((Bump((13,), 0.16, 0.0, 0.012),)),
    "lip_fullness": Effect((Bump((17,), 0.06, 0.0, 0.012), Bump((0,), 0.05, 0.0, -0.006))),
    "cheekbones": Effect((Bump((123, 352), 0.16, 0.016, 0.0),), (Blob((50, 280), 0.10, 0.04),)),
}
EXPRESSION = (Bump((61, 291), 0.12, -0.010, 0.020),)
IDENTITY = tuple(list(OTHERS)[3:])


@dataclass(frozen=True)
class Drawn:
    """The tables as fields over the canvas, and the regions' soft masks.

    `expression`: corners of the mouth that sink; as `shape`.
    """

    shape: dict[str, Field]
    shade: dict[str, Field]
    masks: dict[str, Field]
    expression: Field


@cache
def drawn() -> Drawn:
    """All effects over `portrait.neutral`, made once a process."""
    labels = region_map(neutral().landmarks, HEIGHT)[:, :WIDTH]
    masks = _masks(labels)
    shape, shade = {}, {}
    for name, effect in (SIGNS | OTHERS).items():
        moves, light = _moves(effect.bumps), _light(effect.shades)
        if name in SIGNS:
            moves, light = moves * _reach(name, labels), light * masks[name]
        shape[name] = np.ascontiguousarray(moves[:, ::2, ::2])
        shade[name] = light
    shape["hair"] = np.ascontiguousarray(_hair_inwards()[:, ::2, ::2])
    expression = np.ascontiguousarray(_moves(EXPRESSION)[:, ::2, ::2])
    return Drawn(shape, shade, masks, expression)


def _hair_inwards() -> Field:
    """Everything around the upper face moves a pixel towards it."""
    x, y = grid()
    u, v = (x - EYES[0]) / 140, (y - EYES[1] - 10) / 170
    far = np.sqrt(u * u + v * v) + 1e-6
    pull = -smoothstep(far, 0.95, 1.5) * (1 - smoothstep(y, 400, 470))
    return np.stack([pull * u / far, pull * v / far])


@cache
def depth() -> Field:
    """Depth of the canvas behind the camera's side, pixels, at half size: float32 [360, 320]."""
    rim = [(x, y, 130.0) for x in (0, 80, 560, 640) for y in range(0, 480, 80)]
    rim += [(x, y, 110.0) for x in range(0, 641, 80) for y in (-20, 20, 560, 640, 720)]
    known = np.concatenate([neutral().landmarks.astype(np.float64), np.array(rim)])
    spline = RBFInterpolator(known[:, :2], known[:, 2], smoothing=20.0)
    coarse = np.stack(np.meshgrid(np.arange(0, WIDTH, 16), np.arange(0, HEIGHT, 16)), -1)
    found = spline(coarse.reshape(-1, 2).astype(float)).reshape(coarse.shape[:2])
    size = (WIDTH // 2, HEIGHT // 2)
    wide = cv2.resize(found.astype(np.float32), size, interpolation=cv2.INTER_CUBIC)
    return cv2.GaussianBlur(wide, (0, 0), 6.0)


def _masks(labels: NDArray[np.uint8]) -> dict[str, Field]:
    """Region -> 1 well inside it, 0 outside and at its border."""
    soft = {}
    for k, name in enumerate(REGIONS, start=1):
        inside = cv2.erode((labels == k).astype(np.uint8), np.ones((5, 5), np.uint8))
        near = cv2.GaussianBlur(inside.astype(np.float32), (0, 0), 3.0)
        soft[name] = np.minimum(near * near * (3 - 2 * near), (labels == k).astype(np.float32))
    return soft


def _reach(name: str, labels: NDArray[np.uint8]) -> Field:
    """Where a region may move: itself, less towards its border, so that nothing is folded over.

    The jaw moves what lies outside of the face with it.
    """
    here = labels == 1 + REGIONS.index(name)
    free = here | (labels == 0) if name == "jawline" else here
    inwards = cv2.distanceTransform(free.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return smoothstep(inwards, 1.0, BORDER)


def unit() -> float:
    """The tables' unit of length in canvas pixels."""
    right, left = neutral().landmarks[list(EYE_CORNERS), :2]
    return float(np.linalg.norm(left - right))


def _moves(bumps: tuple[Bump, ...]) -> Field:
    total = np.zeros((2, HEIGHT, WIDTH), np.float32)
    for bump in bumps:
        for side, vertex in zip((-1, 1), bump.at, strict=False):
            near = _gauss(vertex, bump.sigma) * np.float32(unit())
            total[0] += near * (side * bump.out if len(bump.at) == 2 else bump.out)
            total[1] += near * bump.down
    return total


def _light(shades: tuple[Blob | Line, ...]) -> Field:
    total = np.zeros((HEIGHT, WIDTH), np.float32)
    for shade in shades:
        if isinstance(shade, Line):
            total += _crease(shade)
        else:
            for vertex in shade.at:
                total += shade.gain * _gauss(vertex, shade.sigma)
    return total


def _gauss(vertex: int, sigma: float) -> Field:
    x, y = grid()
    px, py = neutral().landmarks[vertex, :2]
    return np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * (sigma * unit()) ** 2))


def _crease(line: Line) -> Field:
    """A smooth dark line that fades at its ends, in a wide shadow of a quarter of its depth."""
    points = neutral().landmarks[list(line.along), :2]
    side = np.sign(points[:, 0].mean() - EYES[0])
    points = points + np.array([side * line.out, line.down], np.float32) * unit()
    t = np.linspace(0, len(points) - 1, 24 * len(points))
    knots = np.arange(len(points))
    path = np.stack([np.interp(t, knots, points[:, k]) for k in (0, 1)], -1).astype(np.float32)
    path = cv2.blur(path.reshape(-1, 1, 2), (1, 17), borderType=cv2.BORDER_REPLICATE)
    canvas = np.zeros((HEIGHT, WIDTH), np.float32)
    cv2.polylines(canvas, [np.rint(path * 16).astype(np.int32)], False, 1.0, 1, cv2.LINE_AA, 4)
    core = cv2.GaussianBlur(canvas, (0, 0), line.sigma * unit())
    wide = cv2.GaussianBlur(canvas, (0, 0), 3.5 * line.sigma * unit())
    return line.gain * (core / core.max() + 0.25 * wide / wide.max()).astype(np.float32)
