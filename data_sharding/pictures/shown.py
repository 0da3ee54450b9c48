"""A packed picture as a screen shows it: in 8 bits, however it was packed.

    from data_sharding.pictures.shown import shown
    cv2.imwrite("a.png", shown(data.image(0)))

Whoever draws a picture, or compares pictures that may have been packed in two ways, asks here. One
of 16 bits is given the grey scale that cxr/2 would have given it, so that it looks like the same
picture packed in 8: of 13 real chests all were found as copies of their 8-bit selves so, and 11
where the window lay between the percentiles .5 and 99.5, which flatten what is beyond.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from data_sharding.pictures.cxr import centre, truncated
from data_sharding.pictures.display import grey
from data_sharding.pictures.resample import ONE

Picture = npt.NDArray[np.uint8 | np.uint16]


def shown(picture: Picture) -> npt.NDArray[np.uint8]:
    """The picture in 8 bits: of 16 bits, the levels of its central 50% x 50%, stretched.

    Args:
        picture: uint8 [H, W] or [H, W, 3], which is given back as it is, or uint16 [H, W].

    Returns:
        uint8 like `picture`; zeros where the centre is flat.

    Raises:
        ValueError: anything else.
    """
    if picture.dtype == np.uint8:
        return picture  # pyright: ignore[reportReturnType]  (narrowed by its dtype)
    if picture.dtype != np.uint16 or picture.ndim != 2 or not picture.size:
        raise ValueError(f"{picture.dtype} {picture.shape}: not a picture of uint8 or uint16")
    display = grey(picture)
    table = (truncated(display, centre(display)) + np.uint16(ONE // 2)) // ONE
    return np.asarray(cv2.LUT(np.ascontiguousarray(picture), table.astype(np.uint8)), np.uint8)
