"""A packed picture as a screen shows it: in 8 bits, however it was packed.

    from data_sharding.pictures.shown import shown
    cv2.imwrite("a.png", shown(data.image(0)))

Whoever draws a picture, or compares pictures that may have been packed in two ways, asks here.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

#: Percent of the pixels below black and below white, as of what a model is fed.
DARKEST, BRIGHTEST = 0.5, 99.5
Picture = npt.NDArray[np.uint8 | np.uint16]


def shown(picture: Picture) -> npt.NDArray[np.uint8]:
    """The picture in 8 bits: of 16 bits, the levels between two percentiles, stretched.

    Args:
        picture: uint8 [H, W] or [H, W, 3], which is given back as it is, or uint16 [H, W].

    Returns:
        uint8 like `picture`; zeros for a flat one.

    Raises:
        ValueError: anything else.
    """
    if picture.dtype == np.uint8:
        return picture  # pyright: ignore[reportReturnType]  (narrowed by its dtype)
    if picture.dtype != np.uint16 or picture.ndim != 2 or not picture.size:
        raise ValueError(f"{picture.dtype} {picture.shape}: not a picture of uint8 or uint16")
    below = np.cumsum(np.bincount(picture.ravel(), minlength=1 << 16))
    # the least level that has this share of the pixels at it or below
    low, high = (int(np.searchsorted(below, q / 100 * below[-1])) for q in (DARKEST, BRIGHTEST))
    levels = np.clip(np.arange(1 << 16), low, high).astype(np.float64) - low
    table = np.rint(255 * levels / max(high - low, 1)).astype(np.uint8)
    return np.asarray(cv2.LUT(np.ascontiguousarray(picture), table), np.uint8)
