"""Damaged PNG and JPEG files: a picture or a reason, never a crash, a hang or a memory bomb."""

from __future__ import annotations

import struct
import tempfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from data_sharding.ledger import Refused
from data_sharding.pictures.grey import read_grey
from data_sharding.pictures.photos import read_header, read_photo
from data_sharding.schema import REASONS
from tests.data_sharding.mutate import BYTES, mutated, smooth
from tests.data_sharding.watched import watch

COUNT = 800
_SIDES = (0, 1, 7999, 8000, 32767, 65535, 65536, 0x7FFFFFFF, 0xFFFFFFFF)


def chunk(kind: bytes, data: bytes) -> bytes:
    """One chunk of a PNG, its sum right."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def insert(png: bytes, *chunks: bytes) -> bytes:
    """A PNG with more chunks behind its header."""
    return png[:33] + b"".join(chunks) + png[33:]


def seeds() -> list[bytes]:
    """PNG and JPEG, grey and colour, 8 and 16 bits, with a profile and texts that inflate."""
    deep = smooth(1, 48)
    grey = (deep >> 4).astype(np.uint8)
    colour = np.dstack([grey, grey.T, 255 - grey])
    pictures = [grey, deep, colour, np.dstack([colour, grey]), np.dstack([grey] * 3)]
    pngs = [cv2.imencode(".png", p)[1].tobytes() for p in pictures]
    zeros = zlib.compress(bytes(50_000_000), 9)
    bombs = [
        insert(pngs[0], chunk(b"zTXt", b"Comment\0\0" + zeros)),
        insert(pngs[2], chunk(b"iCCP", b"icc\0\0" + zeros)),
        insert(pngs[0], chunk(b"iTXt", b"XML\0\1\0\0\0" + zeros), chunk(b"gAMA", bytes(4))),
    ]
    jpegs = [
        cv2.imencode(".jpg", p, options)[1].tobytes()
        for p in (grey, colour, np.dstack([grey] * 3))
        for options in ((), (cv2.IMWRITE_JPEG_PROGRESSIVE, 1), (cv2.IMWRITE_JPEG_RST_INTERVAL, 2))
    ]
    return [*pngs, *bombs, *jpegs]


def header(data: bytearray, rng: np.random.Generator, _: Sequence[bytes]) -> bytearray:
    """Another size, depth or kind in the header of a PNG, its sum right; or of a JPEG."""
    side = _SIDES[int(rng.integers(len(_SIDES)))]
    if data[1:4] == b"PNG" and len(data) > 33:
        at = 16 + 4 * int(rng.integers(3))
        if at < 24:
            data[at : at + 4] = struct.pack(">I", side)
        else:
            data[24:29] = bytes(int(x) for x in rng.integers([1, 0, 0, 0, 0], [17, 7, 2, 2, 2]))
        data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    at = max(data.find(b"\xff\xc0"), data.find(b"\xff\xc2"))
    if data[:2] == b"\xff\xd8" and at > 0:
        at += 5 + 2 * int(rng.integers(2))
        data[at : at + 2] = struct.pack(">H", side & 0xFFFF)
    return data


class Fuzz:
    def __init__(self, folder: str) -> None:
        self.folder, self.seeds = Path(tempfile.mkdtemp(dir=folder)), seeds()

    def bytes_of(self, number: int) -> bytes:
        return mutated(self.seeds, number, (*BYTES, header, header, header))

    def __call__(self, number: int) -> None:
        path = self.folder / "file"
        path.write_bytes(self.bytes_of(number))
        for read in (read_grey,):
            found = attempt(read, path)
            if not isinstance(found, Refused):
                assert found[0].ndim == 2
                assert found[0].dtype in (np.uint8, np.uint16)
                assert found[1]
        for read in (read_header, read_photo):
            attempt(read, path)


def attempt(read: Callable[[Path], Any], path: Path) -> Any:
    """What is read, or a refusal that is fit for the ledger."""
    try:
        return read(path)
    except Refused as e:
        refused = e
    assert refused.reason in REASONS
    assert refused.evidence.isprintable()
    return refused


def test_the_seeds_are_read(tmp_path):
    taken = []
    for data in seeds():
        (tmp_path / "a").write_bytes(data)
        found = attempt(read_grey, tmp_path / "a")
        taken.append(not isinstance(found, Refused))
        assert (
            found.reason == "colour" if isinstance(found, Refused) else found[0].shape == (48, 48)
        )
    # grey, deep, equal channels, grey with a long text (two of them); the JPEGs without colour
    assert taken == [bool(x) for x in (1, 1, 0, 0, 1, 1, 0, 1, 1, 1, 1, 0, 0, 0, 1, 1, 1)]


def test_the_largest_picture_that_is_declared_and_not_there(tmp_path):
    found = watch(Declared, str(tmp_path), 4 * 5, workers=1)
    assert not found.problems


class Declared:
    """8000 x 8000 pixels of every kind in a PNG of a few hundred bytes."""

    def __init__(self, folder: str) -> None:
        self.path = Path(folder) / "declared"

    def __call__(self, number: int) -> None:
        kind, depth = (0, 2, 3, 4, 6)[number % 5], (1, 4, 8, 16)[number // 5]
        head = struct.pack(">IIBBBBB", 8000, 8000, depth, kind, 0, 0, number % 2)
        body = [chunk(b"PLTE", bytes(48))] if kind == 3 else []
        body.append(chunk(b"IDAT", zlib.compress(bytes(100_000))))
        png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + b"".join(body) + chunk(b"IEND", b"")
        self.path.write_bytes(png)
        for read in (read_grey, read_photo):
            attempt(read, self.path)


def test_damaged_files(tmp_path):
    found = watch(Fuzz, str(tmp_path), COUNT)
    assert not found.problems
    assert len(found.seconds) == COUNT
