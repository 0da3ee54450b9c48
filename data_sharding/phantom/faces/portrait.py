"""The portrait all phantom faces are made of, with a bare forehead, closed lips and plain clothes.

    neutral().rgb        # float32 [720, 640, 3], sRGB in [0, 1]
    neutral().landmarks  # float32 [468, 3]: MediaPipe's mesh in pixels of it

``portrait.png`` holds rows 0 to 235 and columns 108 to 339 of NASA's portrait of Eileen Collins as
scikit-image ships it (`skimage.data.astronaut`, in the public domain); its alpha channel is the
person, by MediaPipe's selfie segmentation and a guided filter. ``portrait.json`` has the mesh that
MediaPipe 0.10.21 finds in it, in pixels: the mean at 3, 4 and 5 times the size. Nothing but these
files is read here, so that making a world needs neither package.

The fringe hides half of the forehead and the smile the lips: the first is painted with the skin
beside it, the second is closed by a warp whose inverse is known, so that the mesh stays exact.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

WIDTH, HEIGHT = 640, 720
SCALE = 3.0  # canvas pixels of one of the portrait's
EYES = (320.0, 300.0)  # where the middle between the outer corners of the eyes comes to lie

Field = NDArray[Any]  # float32; cv2 does not say so

# MediaPipe's vertices.
EYE_CORNERS = (33, 263)
OVAL_TOP = (21, 54, 103, 67, 109, 10, 338, 297, 332, 284, 251)
BROWS_TOP = (276, 283, 282, 295, 285, 8, 55, 65, 52, 53, 46)
BROW_ARCHES = ((70, 63, 105, 66, 107), (336, 296, 334, 293, 300))
LIP_UPPER_INNER = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
LIP_LOWER_INNER = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)
LIP_LOWER_OUTER = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291)


@dataclass(frozen=True)
class Portrait:
    """A face to be warped; everything in the same canvas of HEIGHT x WIDTH pixels.

    `rgb`: float32 [H, W, 3] in [0, 1]; `person`, `hair`, `clothes`: float32 [H, W] in [0, 1];
    `landmarks`: float32 [468, 3], z as MediaPipe's (negative towards the camera).
    """

    rgb: Field
    person: Field
    hair: Field
    clothes: Field
    landmarks: Field


def source() -> tuple[NDArray[np.uint8], Field]:
    """The portrait as it was taken: uint8 [236, 232, 4] with alpha, and its mesh [468, 3]."""
    here = Path(__file__).parent
    with Image.open(here / "portrait.png") as image:
        pixels = np.asarray(image)
    mesh = json.loads((here / "portrait.json").read_text())["landmarks"]
    return pixels, np.array(mesh, np.float32)


@cache
def upright() -> Portrait:
    """The portrait with level eyes, enlarged, in front of nothing; the fringe is still there."""
    pixels, mesh = source()
    right, left = mesh[EYE_CORNERS[0], :2], mesh[EYE_CORNERS[1], :2]
    (dx, dy), (mx, my) = left - right, (left + right) / 2
    turn = np.hypot(dx, dy)
    c, s = SCALE * dx / turn, SCALE * dy / turn
    matrix = np.array([[c, s, EYES[0] - c * mx - s * my], [-s, c, EYES[1] + s * mx - c * my]])
    rgba = cv2.warpAffine(
        pixels.astype(np.float32) / 255,
        matrix,
        (WIDTH, HEIGHT),
        flags=cv2.INTER_LANCZOS4,
        borderMode=cv2.BORDER_REPLICATE,
    )
    rgb, person = rgba[..., :3], np.clip(rgba[..., 3], 0, 1)
    rgb = rgb + 0.9 * (rgb - cv2.GaussianBlur(rgb, (0, 0), 3.0))  # the enlargement is soft
    moved = np.c_[mesh[:, :2] @ matrix[:, :2].T + matrix[:, 2], mesh[:, 2] * SCALE]
    landmarks = moved.astype(np.float32)
    clothes, dressed = _dress(person)
    hair = cv2.GaussianBlur(1 - _skin_likeness(rgb), (0, 0), 7.0)
    y = grid()[1]
    hair = np.maximum(smoothstep(hair, 0.1, 0.4), 1 - smoothstep(y, 190, 205))
    hair = person * hair * (y < 430) * _above(landmarks)
    return Portrait(np.clip(rgb, 0, 1), dressed, hair, clothes, landmarks)


@cache
def neutral() -> Portrait:
    """`upright` with a bare forehead and closed lips: what all good photographs are made of."""
    return _close_lips(_bare_forehead(upright()))


def grid() -> tuple[Field, Field]:
    """x and y of every pixel of the canvas, float32 [H, W] each."""
    x, y = np.meshgrid(np.arange(WIDTH, dtype=np.float32), np.arange(HEIGHT, dtype=np.float32))
    return x, y


def smoothstep(x: NDArray, low: float, high: float) -> Field:
    """0 below `low`, 1 above `high`, smooth between."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return (t * t * (3 - 2 * t)).astype(np.float32)


def _skin_likeness(rgb: Field) -> Field:
    smooth = cv2.GaussianBlur(rgb, (0, 0), 2.0)
    red, _, blue = (smooth[..., k] for k in range(3))
    return smoothstep(red, 0.50, 0.72) * smoothstep(blue / np.maximum(red, 0.05), 0.50, 0.68)


def _above(landmarks: Field) -> Field:
    """1 around and above the face, 0 where only skin, eyes and lips can be."""
    inside = np.zeros((HEIGHT, WIDTH), np.float32)
    brow_to_chin = [70, 105, 107, 336, 334, 300, 454, 361, 397, 379, 152, 150, 172, 132, 234]
    cv2.fillPoly(inside, [np.rint(landmarks[brow_to_chin, :2]).astype(np.int32)], 1.0)
    return 1 - cv2.GaussianBlur(inside, (0, 0), 4.0)


def _dress(person: Field) -> tuple[Field, Field]:
    """(clothes, person with them): a plain round-necked shirt instead of the suit."""
    x, y = grid()
    off = np.abs(x - 306)  # the neck's middle
    neckline = 514 + 34 * np.clip(1 - (off / 105) ** 2, 0, 1)
    shoulders = 514 + 120 * (1 - np.exp(-np.maximum(off - 105, 0) / 120))
    clothes = (y > np.where(off < 105, neckline, shoulders)).astype(np.float32)
    clothes = smoothstep(cv2.GaussianBlur(clothes, (0, 0), 9.0), 0.4, 0.6)
    left = np.interp(y[:, 0], (428, 440, 462, 516, 546), (190, 200, 211, 217, 246))[:, None]
    suit = smoothstep(left - x, -4, 4) * smoothstep(y, 424, 436)
    suit = np.maximum(suit, smoothstep(x, 400, 408) * smoothstep(y, 488, 500))
    return clothes, np.maximum(person * (1 - suit), clothes)


def _bare_forehead(p: Portrait) -> Portrait:
    """Paint skin over the fringe, from the brows to the upper end of the mesh."""
    x, y = grid()
    outline = np.concatenate([p.landmarks[list(OVAL_TOP), :2], p.landmarks[list(BROWS_TOP), :2]])
    inside = np.zeros((HEIGHT, WIDTH), np.float32)
    cv2.fillPoly(inside, [np.rint(outline).astype(np.int32)], 1.0)
    likeness = _skin_likeness(p.rgb) * inside
    for arch in BROW_ARCHES:  # brows keep their pixels, and are no skin
        points = np.rint(p.landmarks[list(arch), :2]).astype(np.int32)
        cv2.polylines(inside, [points + (0, 3)], False, 0.0, 9)
    hidden = ((inside > 0.5) & (likeness < 0.9)).astype(np.float32)
    hidden = np.maximum.accumulate(hidden[::-1])[::-1] * inside  # all above the fringe's lower end
    hidden = smoothstep(cv2.GaussianBlur(hidden, (0, 0), 7.0), 0.01, 0.35)
    sure = ((likeness > 0.95) & (hidden == 0)).astype(np.float32)
    near = [cv2.GaussianBlur(f, (0, 0), 28.0) for f in (p.rgb * sure[..., None], sure)]
    skin = near[0] / np.maximum(near[1], 1e-6)[..., None]
    up = np.clip((EYES[1] - 50 - y) / 100, 0, 2)
    skin *= (1 - 0.14 * up**2)[..., None]  # it turns away from the light
    rng = np.random.default_rng(7)
    skin += (0.035 * cv2.GaussianBlur(rng.normal(0, 1, x.shape), (0, 0), 1.6))[..., None]
    strands = cv2.GaussianBlur(rng.normal(0, 1, x.shape), (0, 0), 1.3, sigmaY=9.0)
    edge = cv2.GaussianBlur(inside, (0, 0), 9.0) + 0.4 * strands  # the hairline is uneven
    fill = smoothstep(edge, 0.3, 0.9) * hidden
    root = smoothstep(edge, 0.3, 0.7) * (1 - smoothstep(edge, 0.7, 1.05)) * (y < EYES[1] - 70)
    rgb = p.rgb * (1 - fill[..., None]) + skin.astype(np.float32) * fill[..., None]
    rgb *= 1 - 0.22 * root[..., None]
    return Portrait(np.clip(rgb, 0, 1), p.person, p.hair * (1 - fill), p.clothes, p.landmarks)


def _close_lips(p: Portrait) -> Portrait:
    """Bring the lower lip to the upper one, column by column, and the chin after it."""
    x, _ = grid()
    columns, rows = np.arange(WIDTH, dtype=np.float64), np.arange(HEIGHT, dtype=np.float64)
    upper, lower, outer = (
        _height(p.landmarks, chain, columns)
        for chain in (LIP_UPPER_INNER, LIP_LOWER_INNER, LIP_LOWER_OUTER)
    )
    gap = np.maximum(lower - upper - 2.0, 0)
    gap[(columns < p.landmarks[78, 0]) | (columns > p.landmarks[308, 0])] = 0
    gap = cv2.GaussianBlur(gap[None], (0, 0), 2.0)[0]
    middle, chin = float(p.landmarks[13, 0]), float(p.landmarks[152, 1])
    nose = float(p.landmarks[2, 1])
    wide = np.exp(-0.5 * ((columns - middle) / 75) ** 4)
    follow = 0.45 * gap.max() * wide
    back = np.empty((HEIGHT, WIDTH), np.float32)
    moved = p.landmarks.copy()
    for k in range(WIDTH):
        a, b = upper[k], max(lower[k], upper[k] + 2)
        o = max(outer[k], b + 8)
        before = np.array([nose, a, b, o, chin, chin + 70])
        shut = before - np.array([0, -0.2 * gap[k], 0.8 * gap[k], 0.8 * gap[k], follow[k], 0])
        shut = np.maximum.accumulate(shut + np.arange(6) * 1e-3)
        back[:, k] = rows + np.interp(rows, shut, before - shut, left=0, right=0)
        for n in np.flatnonzero(np.rint(p.landmarks[:, 0]) == k):
            y = p.landmarks[n, 1]
            moved[n, 1] = y + np.interp(y, before, shut - before, left=0, right=0)
    between = np.zeros((HEIGHT, WIDTH), np.float32)
    ring = np.rint(p.landmarks[[*LIP_UPPER_INNER, *LIP_LOWER_INNER[::-1]], :2]).astype(np.int32)
    cv2.fillPoly(between, [ring], 1.0)
    between = cv2.GaussianBlur(between, (0, 0), 1.5)[..., None]
    lips_line = np.array((0.46, 0.24, 0.22), np.float32)
    colours = p.rgb * (1 - between) + lips_line * between  # no teeth, but the shade between lips
    colours = cv2.remap(colours, x, back, cv2.INTER_CUBIC)
    masks = cv2.remap(np.dstack([p.person, p.hair, p.clothes]), x, back, cv2.INTER_LINEAR)
    seam = np.zeros((HEIGHT, WIDTH), np.float32)
    line = moved[list(LIP_UPPER_INNER), :2] + (0, 1)
    cv2.polylines(seam, [np.rint(line * 16).astype(np.int32)], False, 1.0, 3, cv2.LINE_AA, 4)
    shade = 1 - cv2.GaussianBlur(seam, (0, 0), 1.2)[..., None] * (0.12, 0.16, 0.15)
    colours = np.clip(colours * shade, 0, 1).astype(np.float32)
    person, hair, clothes = (masks[..., k].copy() for k in range(3))
    return Portrait(colours, person, hair, clothes, moved)


def _height(landmarks: Field, chain: tuple[int, ...], columns: NDArray) -> NDArray:
    """y of a line through vertices at each column."""
    points = landmarks[list(chain), :2].astype(np.float64)
    order = np.argsort(points[:, 0])
    return np.interp(columns, points[order, 0], points[order, 1])
