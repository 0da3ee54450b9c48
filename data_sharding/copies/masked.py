"""Colour pictures without the black around them: the ellipse of a face, the bars of a photograph.

An edge that every picture has makes strangers alike, and where it lies a little off it parts
copies: faces of mirrored photographs, to which the mesh fits differently, scored 0.53 to 0.81 with
their ellipses' edges.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

SIDE = 256  # pixels at most: nobody compares larger ones
RIM = 5  # pixels of the 256 within the edge that are not believed: resampling darkened them

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


def unmasked(image: Bytes) -> tuple[Bytes, npt.NDArray[np.bool_] | None]:
    """A colour picture in grey, with what is around it continued smoothly from within.

    Around is what is black from a corner on.

    Args:
        image: uint8 [H, W, 3], RGB.

    Returns:
        uint8 [h, w], at most 256 each, Rec. 601 weights; and bool [h, w], what is within, or None
        if that is all of it, or nothing.
    """
    height, width = (min(side, SIDE) for side in image.shape[:2])
    if image.shape[:2] != (height, width):
        image = np.asarray(
            cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8
        )
    level = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
    within = _within(image)
    if within is None:
        return level, None
    return np.where(within, level, _continued(level, within)), within


def _within(image: Bytes) -> npt.NDArray[np.bool_] | None:
    black = (image.max(axis=2) == 0).astype(np.uint8)
    corners = (0, 0, -1, -1), (0, -1, 0, -1)
    if not black[corners].any():
        return None
    parts = cv2.connectedComponents(black, connectivity=4)[1]
    around = np.isin(parts, parts[corners][black[corners] > 0])
    kernel = np.ones((RIM, RIM), np.uint8)
    within = cv2.erode((~around).astype(np.uint8), kernel, borderValue=1) > 0
    return within if within.any() else None


def _continued(level: Bytes, within: npt.NDArray[np.bool_]) -> Bytes:
    """Each pixel from the finest halving of the picture that knows something near it."""
    weight = within.astype(np.float32)
    known: list[tuple[Floats, Floats]] = [(level * weight, weight)]
    while min(known[-1][1].shape) > 1:
        value, weight = (np.asarray(cv2.pyrDown(x), np.float32) for x in known[-1])
        known.append((value, weight))
    filled = np.full((1, 1), level[within].mean(), np.float32)
    for value, weight in reversed(known):
        larger = cv2.resize(filled, value.shape[::-1], interpolation=cv2.INTER_LINEAR)
        filled = np.asarray(larger, np.float32)
        sure = np.minimum(1, 4 * weight)
        filled += sure * (value / np.maximum(weight, 1e-6) - filled)
    return filled.round().clip(0, 255).astype(np.uint8)
