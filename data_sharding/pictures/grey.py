"""Grey PNG and JPEG files, as public sets have them: the declared size is checked before decoding.

    from data_sharding.pictures.grey import read_grey
    pixels, applied = read_grey(Path("00000001_000.png"))   # uint8 or uint16 [H, W]

libjpeg decodes through damage in the middle of a picture without saying so; that is not seen here.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from data_sharding.ledger import Refused
from data_sharding.pictures.decode import MAX_BYTES, check_size

_PNG = b"\x89PNG\r\n\x1a\n"
_START = b"\xff\xd8\xff"
_END = b"\xff\xd9"
_SCAN = 0xDA
_ALONE = {0x01, *range(0xD0, 0xD9)}  # markers without a length
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}


def read_grey(path: Path) -> tuple[npt.NDArray[np.uint8 | np.uint16], tuple[str, ...]]:
    """A grey picture [H, W] and what was done; one with equal colour channels is grey too.

    Raises:
        Refused: unreadable, too_large, no_pixels, undecodable, truncated, colour.
    """
    try:
        if path.stat().st_size > 2 * MAX_BYTES:
            raise Refused("too_large", f"a file of {path.stat().st_size} bytes")
        data = path.read_bytes()
    except OSError as e:
        raise Refused("unreadable", type(e).__name__, str(e)[:200]) from e
    if data.startswith(_PNG):
        kind = "PNG"
        _check_png(data)
    elif data.startswith(_START):
        kind = "JPEG"
        _check_jpeg(data)
    else:
        raise Refused("undecodable", "neither a PNG nor a JPEG file")
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if decoded is None:
        raise Refused("undecodable", f"damaged {kind}")
    image: npt.NDArray[Any] = np.asarray(decoded)
    if image.ndim == 2:
        return image, (f"decoded {kind}",)
    same = all(np.array_equal(image[..., 0], image[..., c]) for c in (1, 2))
    full = 255 if image.itemsize == 1 else 65535
    if not same or (image.shape[2] == 4 and not (image[..., 3] == full).all()):
        raise Refused("colour", f"{image.shape[2]} channels that differ")
    said = (f"decoded {kind}", "equal colour channels as grey")
    return np.ascontiguousarray(image[..., 0]), said


def _check_png(data: bytes) -> None:
    if data[12:16] != b"IHDR" or len(data) < 33:
        raise Refused("undecodable", "damaged PNG header")
    rows, columns = int.from_bytes(data[20:24], "big"), int.from_bytes(data[16:20], "big")
    check_size(rows, columns)
    if rows * columns * (1 if data[25:26] == b"\0" else 4) * data[24] // 8 > 2 * MAX_BYTES:
        raise Refused("too_large", f"{columns}x{rows} pixels of colour and {data[24]} bits")
    if b"IEND" not in data[-16:]:
        raise Refused("truncated", "the PNG has no end")


def _check_jpeg(data: bytes) -> None:
    bits, rows, columns, channels, scan = _frame(data)
    if bits != 8:
        raise Refused("undecodable", f"a JPEG of {bits} bits")
    check_size(rows, columns)
    if channels not in (1, 3):
        raise Refused("colour", f"{channels} channels")
    if data.find(_END, scan) < 0:  # in the scan 0xFF is always followed by 0 or a restart marker
        raise Refused("truncated", "the JPEG has no end")


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
