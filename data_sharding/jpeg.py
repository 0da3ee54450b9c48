"""A grey JPEG of 8 bits, as CheXpert's are: its declared size is checked before it is decoded.

    from data_sharding.jpeg import read_jpeg
    pixels, applied = read_jpeg(Path("view1_frontal.jpg"))   # uint8 [H, W]

libjpeg decodes through damage in the middle of a picture without saying so; that is not seen here.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from data_sharding.decode import check_size
from data_sharding.ledger import Refused

_START = b"\xff\xd8\xff"
_END = b"\xff\xd9"
_SCAN = 0xDA
_ALONE = {0x01, *range(0xD0, 0xD9)}  # markers without a length
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}


def read_jpeg(path: Path) -> tuple[npt.NDArray[np.uint8], tuple[str, ...]]:
    """A grey JPEG [H, W] and what was done; one with equal colour channels is grey too.

    Raises:
        Refused: unreadable, too_large, no_pixels, undecodable, truncated, colour.
    """
    try:
        data = path.read_bytes()
    except OSError as e:
        raise Refused("unreadable", type(e).__name__, str(e)[:200]) from e
    if not data.startswith(_START):
        raise Refused("undecodable", "not a JPEG file")
    bits, rows, columns, channels, scan = _frame(data)
    if bits != 8:
        raise Refused("undecodable", f"a JPEG of {bits} bits")
    check_size(rows, columns)
    if channels not in (1, 3):
        raise Refused("colour", f"{channels} channels")
    if data.find(_END, scan) < 0:  # in the scan 0xFF is always followed by 0 or a restart marker
        raise Refused("truncated", "the JPEG has no end")
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if decoded is None:
        raise Refused("undecodable", "damaged JPEG")
    image: npt.NDArray[Any] = np.asarray(decoded)
    if image.ndim == 2:
        return image, ("decoded JPEG",)
    if any(not np.array_equal(image[..., 0], image[..., c]) for c in (1, 2)):
        raise Refused("colour", "3 channels that differ")
    return np.ascontiguousarray(image[..., 0]), ("decoded JPEG", "equal colour channels as grey")


def _frame(data: bytes) -> tuple[int, int, int, int, int]:
    """Bits, rows, columns and channels that the frame header declares; where the scan begins."""
    at = 2
    frame: tuple[int, int, int, int] | None = None
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            raise Refused("undecodable", "damaged JPEG header")
        marker = data[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        if marker in _ALONE:
            at += 2
            continue
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if marker in _FRAMES and frame is None and at + 10 <= len(data):
            rows, columns = struct.unpack_from(">HH", data, at + 5)
            frame = (data[at + 4], rows, columns, data[at + 9])
        if marker == _SCAN:
            if frame is None:
                raise Refused("undecodable", "damaged JPEG header")
            return (*frame, at + 2 + length)
        at += 2 + max(length, 2)
    raise Refused("truncated", "the JPEG ends in its header")
