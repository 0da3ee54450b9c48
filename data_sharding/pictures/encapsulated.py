"""Compressed pixels: from fragments to one stream, and what that stream says about itself.

Every decoder asks for the memory its stream declares, so the stream's own size, channels and depth
are read here and compared with the file's header before a decoder sees it.
Source: DICOM PS3.5 A.4; ISO/IEC 10918-1 B.2.2 (JPEG); 14495-1 C.2.2 (JPEG-LS); 15444-1 A.5.1.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from data_sharding.ledger import Refused

_ITEM, _END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"
_FRAME_HEADERS = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}  # not: tables, extension


@dataclass(frozen=True)
class Coded:
    """What a compressed stream says it holds."""

    rows: int
    columns: int
    channels: int
    bits: int


def frame(data: bytes) -> bytes | memoryview:
    """The one frame in a pixel element: its fragments after the offset table, joined if several.

    Raises:
        Refused: truncated, or undecodable where there are no fragments.
    """
    view, at, pieces = memoryview(data), 0, []
    while at + 8 <= len(data) and data[at : at + 4] == _ITEM:
        (length,) = struct.unpack_from("<L", data, at + 4)
        if at + 8 + length > len(data):
            raise Refused("truncated", f"a fragment of {length} bytes ends early")
        pieces.append(view[at + 8 : at + 8 + length])
        at += 8 + length
    if at == 0 and data[:4] != _END:
        raise Refused(*(("undecodable", "no fragments") if data else ("truncated", "no pixels")))
    if not any(pieces[1:]):
        raise Refused("truncated", "no encoded pixels")
    return pieces[1] if len(pieces) == 2 else b"".join(pieces[1:])


def coded(data: bytes | memoryview) -> Coded | None:
    """Size, channels and bits that a JPEG, JPEG-LS or JPEG 2000 stream declares; None if unseen."""
    if data[:2] == b"\xff\xd8":
        return _jpeg(data)
    start = 0 if data[:4] == b"\xff\x4f\xff\x51" else _codestream(data)
    if start < 0 or len(data) < start + 44 or data[start : start + 4] != b"\xff\x4f\xff\x51":
        return None
    # SIZ: marker, length, capabilities; X, Y, X offset, Y offset; four of tiles; channels
    x, y, left, top = struct.unpack_from(">4L", data, start + 8)
    (channels,) = struct.unpack_from(">H", data, start + 40)
    bits = [1 + (b & 0x7F) for b in data[start + 42 : start + 42 + 3 * channels : 3]]
    sampling = data[start + 43 : start + 42 + 3 * channels]
    if len(bits) < channels or any(sampling[i] != 1 for i in range(len(sampling)) if i % 3 < 2):
        return None  # cut, or channels of different sizes
    return Coded(y - top, x - left, channels, max(bits, default=0))


def _jpeg(data: bytes | memoryview) -> Coded | None:
    at = 2
    while at + 10 <= len(data):
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        if marker in _FRAME_HEADERS:
            bits, rows, columns, channels = struct.unpack_from(">BHHB", data, at + 4)
            return Coded(rows, columns, channels, bits)
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None


def _codestream(data: bytes | memoryview) -> int:
    """Where the code stream of a JP2 file starts: in the box jp2c; -1 if there is none."""
    if data[4:8] != b"jP  ":
        return -1
    at = 0
    while at + 16 <= len(data):
        length, kind = struct.unpack_from(">L4s", data, at)
        long = length == 1
        if kind == b"jp2c":
            return at + (16 if long else 8)
        if long:
            (length,) = struct.unpack_from(">Q", data, at + 8)
        if length < 8:
            return -1
        at += length
    return -1
