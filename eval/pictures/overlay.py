"""A picture beside the same picture under its heat map, as PNG."""

from __future__ import annotations

import cv2
import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray

#: The name of this way of drawing: pictures drawn in another are made again.
OVERLAY = "overlay/4"
#: Pixels of a picture's longer side, and of the white between the two.
SIDE, GAP = 256, 6
#: Share of colour where the map is strongest; the picture stays visible under it.
STRONGEST = 0.6
HALF = 0.5


def heat(values: NDArray) -> NDArray:
    """Colour of values in [0, 1]: [...] -> RGB [..., 3] in [0, 1].

    Inferno is perceptually uniform and rises in lightness all the way, so that it can be read by
    the colour-blind and in grey print.
    """
    return mpl.colormaps["inferno"](values)[..., :3].astype(np.float32)


def panel_png(pixels: NDArray, cam: NDArray, tiles: NDArray | None = None) -> bytes:
    """The picture and its heat map, side by side; a line runs where the map is at half its most.

    Args:
        pixels: uint8 [H, W], or uint16 over all of its range, of which the upper half is shown.
        cam: float [h, w] in [0, 1]; the preprocessor may have resized.
        tiles: float [n, n] in [0, 1], one number a tile, drawn on a third picture.
    """
    scale = SIDE / max(pixels.shape)
    size = (round(pixels.shape[1] * scale), round(pixels.shape[0] * scale))
    grey = cv2.resize(eight_bits(pixels), size, interpolation=cv2.INTER_AREA)
    plain = np.repeat(grey[..., None], 3, axis=2).astype(np.float32)
    gap = np.full((size[1], GAP, 3), 255, dtype=np.float32)
    shown = [plain, gap, _under(plain, cam, cv2.INTER_LINEAR)]
    if tiles is not None:
        shown += [gap, _under(plain, tiles, cv2.INTER_NEAREST)]
    picture = np.concatenate(shown, axis=1).round().clip(0, 255).astype(np.uint8)
    ok, data = cv2.imencode(".png", picture[..., ::-1])
    assert ok
    return data.tobytes()


def eight_bits(pixels: NDArray) -> NDArray[np.uint8]:
    """A picture as a screen shows it: of 16 bits the upper eight."""
    return (pixels >> 8).astype(np.uint8) if pixels.dtype == np.uint16 else pixels


def _under(plain: NDArray, values: NDArray, between: int) -> NDArray:
    """The picture under the heat of `values` [h, w], with a line at half their most."""
    size = plain.shape[1::-1]
    warm = cv2.resize(values.astype(np.float32), size, interpolation=between)[..., None]
    mixed = plain * (1 - STRONGEST * warm) + 255 * heat(warm[..., 0]) * STRONGEST * warm
    _outline(mixed, warm[..., 0])
    return mixed


def _outline(picture: NDArray, warm: NDArray) -> None:
    """Draw where the map passes `HALF`, white within black: colour is not needed to see it."""
    above = (warm >= HALF * warm.max()).astype(np.uint8) if warm.max() > 0 else None
    if above is None:
        return
    lines, _ = cv2.findContours(above, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    for tone, width in ((0, 3), (255, 1)):
        cv2.drawContours(picture, lines, -1, (tone, tone, tone), width, cv2.LINE_AA)
