"""Pixel data of a single grey frame to its bit patterns, with the size checked before decoding.

Uncompressed and RLE by ourselves and pydicom; JPEG, JPEG-LS and JPEG 2000 by imagecodecs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID

from data_sharding.ledger import Refused

MAX_PIXELS = 64_000_000  # the largest chest detectors have 4302 x 3556 = 15 million
_JPEG = {
    "1.2.840.10008.1.2.4.50": "jpeg8",  # baseline
    "1.2.840.10008.1.2.4.51": "jpeg",  # extended, 8 or 12 bits
    "1.2.840.10008.1.2.4.57": "ljpeg",  # lossless, any predictor
    "1.2.840.10008.1.2.4.70": "ljpeg",  # lossless, first-order
    "1.2.840.10008.1.2.4.80": "jpegls",
    "1.2.840.10008.1.2.4.81": "jpegls",
    "1.2.840.10008.1.2.4.90": "jpeg2k",
    "1.2.840.10008.1.2.4.91": "jpeg2k",
}
_RLE = "1.2.840.10008.1.2.5"
_BIG_ENDIAN = "1.2.840.10008.1.2.2"
_NATIVE = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", _BIG_ENDIAN)


def syntax_name(syntax: str) -> str:
    """A transfer syntax in words, with its UID."""
    name = UID(syntax).name
    return f"{name} ({syntax})" if name != syntax else syntax


def coded_size(data: bytes) -> tuple[int, int] | None:
    """Rows and columns that a JPEG, JPEG-LS or JPEG 2000 stream itself declares; None if unseen."""
    start = data.find(b"\xff\x4f\xff\x51", 0, 4096)
    if start >= 0:  # JPEG 2000: SIZ = marker, length, capabilities, X, Y, X offset, Y offset
        fields = [
            int.from_bytes(data[start + 8 + 4 * i : start + 12 + 4 * i], "big") for i in range(4)
        ]
        return fields[1] - fields[3], fields[0] - fields[2]
    at = 2
    while data[:2] == b"\xff\xd8" and at + 9 <= len(data):
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        if (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)) or marker == 0xF7:
            return int.from_bytes(data[at + 5 : at + 7], "big"), int.from_bytes(
                data[at + 7 : at + 9], "big"
            )
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None


def decode(ds: Dataset, syntax: str) -> tuple[npt.NDArray[np.uint8 | np.uint16], bool]:
    """The bit patterns of the one grey frame of `ds`, unsigned [rows, columns]; are they signed?

    Signed is as the header says, except where a JPEG 2000 stream holds negative numbers and the
    header denies it: the stream is then right.

    Raises:
        Refused: truncated, too_large, no_pixels or undecodable.
    """
    rows, columns, bits = int(ds.Rows), int(ds.Columns), int(ds.BitsAllocated)
    signed = int(ds.get("PixelRepresentation") or 0) == 1
    if "PixelData" not in ds:
        raise Refused("no_pixels", "no PixelData element")
    check_size(rows, columns)
    if bits not in (8, 16):
        raise Refused("undecodable", f"{bits} bits allocated; 8 or 16 are read")
    if syntax in _NATIVE:
        return _native(ds, syntax, rows, columns, bits), signed
    if not ds.PixelData:
        raise Refused("truncated", "no encoded pixels")
    try:
        if syntax == _RLE:
            return _rle(ds), signed
        frame = get_frame(ds.PixelData, 0, number_of_frames=1)
        numbers = _compressed(frame, syntax, rows, columns)
    except Refused:
        raise
    except Exception as e:  # decoders raise whatever they like on damaged data
        raise Refused(
            "undecodable", f"{syntax_name(syntax)}: {type(e).__name__}", str(e)[:200]
        ) from e
    signed = signed or bool(numbers.dtype.kind == "i" and numbers.min() < 0)
    return numbers.astype(f"i{bits // 8}").view(f"u{bits // 8}"), signed


def check_size(rows: int, columns: int) -> None:
    """Refuse a declared size before memory is asked for.

    Raises:
        Refused: no_pixels for nothing, too_large for more than `MAX_PIXELS`.
    """
    if rows < 1 or columns < 1:
        raise Refused("no_pixels", f"{columns}x{rows} pixels")
    if rows * columns > MAX_PIXELS:
        raise Refused("too_large", f"{columns}x{rows} pixels are declared")


def _native(ds: Dataset, syntax: str, rows: int, columns: int, bits: int) -> npt.NDArray[Any]:
    data: bytes = ds.PixelData
    need = rows * columns * bits // 8
    if len(data) < need:
        raise Refused("truncated", f"{len(data)} of {need} bytes of pixels")
    big = syntax == _BIG_ENDIAN
    if big and bits == 8 and ds["PixelData"].VR == "OW":  # bytes travel in swapped pairs
        data = np.frombuffer(data[: need + need % 2], ">u2").astype("<u2").tobytes()
    dtype = np.dtype(f"{'>' if big else '<'}u{bits // 8}")
    pixels = np.frombuffer(data, dtype, rows * columns).reshape(rows, columns)
    return pixels.astype(dtype.newbyteorder("="), copy=False)


def _rle(ds: Dataset) -> npt.NDArray[Any]:
    pixels, _ = get_decoder(UID(_RLE)).as_array(ds, index=0, raw=True)
    return pixels.view(f"u{pixels.itemsize}").reshape(int(ds.Rows), int(ds.Columns))


def _compressed(frame: bytes, syntax: str, rows: int, columns: int) -> npt.NDArray[Any]:
    """The numbers in an encoded frame, integers of at most 16 bits."""
    codec = _JPEG.get(syntax)
    if codec is None:
        raise Refused("undecodable", f"no decoder for {syntax_name(syntax)}")
    size = coded_size(frame)
    if size != (rows, columns):
        said = "no size" if size is None else f"{size[1]}x{size[0]}"
        raise Refused(
            "undecodable", f"{syntax_name(syntax)}: {columns}x{rows} declared, {said} in the stream"
        )
    import imagecodecs  # half the import time of this folder; uncompressed sites never pay it

    pixels = np.asarray(getattr(imagecodecs, f"{codec}_decode")(frame))
    if pixels.shape != (rows, columns) or pixels.dtype.kind not in "iu" or pixels.itemsize > 2:
        raise Refused("undecodable", f"{syntax_name(syntax)}: {pixels.shape} {pixels.dtype}")
    return pixels
