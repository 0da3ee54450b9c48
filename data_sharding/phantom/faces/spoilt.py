"""Portraits of which no good photograph can be made: eyes shut, a cap down to the brows."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import cv2
import numpy as np

from data_sharding.phantom.faces.portrait import (
    HEIGHT,
    WIDTH,
    Field,
    Portrait,
    grid,
    neutral,
    smoothstep,
)

# MediaPipe's vertices of each eye, from the outer corner.
UPPER_LIDS = (
    (33, 246, 161, 160, 159, 158, 157, 173, 133),
    (263, 466, 388, 387, 386, 385, 384, 398, 362),
)
LOWER_LIDS = (
    (33, 7, 163, 144, 145, 153, 154, 155, 133),
    (263, 249, 390, 373, 374, 380, 381, 382, 362),
)
BROWS = (70, 63, 105, 66, 107, 9, 336, 296, 334, 293, 300)


@cache
def asleep() -> Portrait:
    """The neutral portrait with its eyes shut: skin over them, lashes where the lids meet."""
    p = neutral()
    opening, lashes = _empty(), _empty()
    for upper, lower in zip(UPPER_LIDS, LOWER_LIDS, strict=True):
        top, bottom = p.landmarks[list(upper), :2], p.landmarks[list(lower), :2]
        cv2.fillPoly(opening, [_whole(np.concatenate([top, bottom[::-1]]))], 1.0)
        cv2.polylines(lashes, [_whole(bottom + (0, 1))], False, 1.0, 3, cv2.LINE_AA)
    wide = cv2.dilate(opening, np.ones((15, 11), np.uint8))
    around = cv2.dilate(wide, np.ones((13, 13), np.uint8)) - wide
    skin = cv2.GaussianBlur(p.rgb * around[..., None], (0, 0), 12.0)
    skin = skin / np.maximum(cv2.GaussianBlur(around, (0, 0), 12.0), 1e-4)[..., None]
    cover = cv2.GaussianBlur(wide, (0, 0), 2.5)[..., None]
    rgb = p.rgb * (1 - cover) + skin * cover
    rgb *= 1 - 0.6 * cv2.GaussianBlur(lashes, (0, 0), 0.8)[..., None]
    return replace(p, rgb=rgb.astype(np.float32))


@cache
def capped() -> Portrait:
    """The neutral portrait in a knitted cap of the clothes' colour, down to the brows."""
    p = neutral()
    x, y = grid()
    points = p.landmarks[list(BROWS), :2]
    order = np.argsort(points[:, 0])
    rim = np.interp(x[0], points[order, 0], points[order, 1])
    cap = smoothstep(rim[None] - y, -2, 2) * p.person * (1 - p.clothes)
    return replace(p, clothes=np.maximum(p.clothes, cap), hair=p.hair * (1 - cap))


def _empty() -> Field:
    return np.zeros((HEIGHT, WIDTH), np.float32)


def _whole(points: Field) -> Field:
    return np.rint(points).astype(np.int32)
