"""Concepts as pictures: mean maps on a face's outline, and strips of crops."""

from __future__ import annotations

import base64
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from eval.pictures.overlay import STRONGEST, heat

#: Pixels of a map's side, of a crop's, and of the white between crops.
MAP, CROP, GAP = 200, 96, 4
#: JPEG's quality; grey of the face where nobody's may be seen, and of its lines.
QUALITY, SKIN, LINE = 88, 226, 120


def map_picture(
    values: NDArray, outline: NDArray[np.uint8] | None, face: NDArray[np.uint8] | None
) -> str:
    """A mean map as a data address: heat on the mean face, or on the outline of it.

    Args:
        values: float [H, W] in [0, 1]; shown as shares of its largest value.
        outline: regions uint8 [S, S], whose borders are drawn.
        face: uint8 [S, S, 3], only where faces may be shown.
    """
    size = (MAP, MAP)
    canvas = np.full((MAP, MAP, 3), 255, np.float32)
    borders = None
    if outline is not None:
        at = cv2.resize(outline, size, interpolation=cv2.INTER_NEAREST_EXACT)
        canvas[at > 0] = SKIN
        borders = _borders(at)
    if face is not None:
        canvas = cv2.resize(face, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    warm = cv2.resize(values.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)[..., None]
    warm = warm / max(float(warm.max()), np.finfo(np.float32).tiny)
    canvas = canvas * (1 - STRONGEST * warm) + 255 * heat(warm[..., 0]) * STRONGEST * warm
    if borders is not None:
        canvas[borders] = LINE
    return _address(canvas)


def crop_strip(crops: Sequence[NDArray[np.uint8]]) -> str:
    """Crops side by side, as a data address."""
    tiles = []
    for crop in crops:
        tiles += [cv2.resize(crop, (CROP, CROP), interpolation=cv2.INTER_AREA)]
        tiles += [np.full((CROP, GAP, 3), 255, np.uint8)]
    return _address(np.concatenate(tiles[:-1], axis=1).astype(np.float32))


def _borders(at: NDArray) -> NDArray[np.bool_]:
    """Pixels whose right or lower neighbour is of another region."""
    found = np.zeros(at.shape, bool)
    found[:, :-1] |= at[:, :-1] != at[:, 1:]
    found[:-1] |= at[:-1] != at[1:]
    return found


def _address(picture: NDArray) -> str:
    whole = picture.round().clip(0, 255).astype(np.uint8)[..., ::-1]
    ok, data = cv2.imencode(".jpg", whole, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    assert ok
    return f"data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode()}"
