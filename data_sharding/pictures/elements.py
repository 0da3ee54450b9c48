"""A file's bytes to the DICOM elements asked for, and to its pixels, never read before their size.

    with opened(Path("a.dcm"), tags) as file:
        file.ds, file.syntax        # the elements before the pixels, the transfer syntax
        file.native(12_500_000)     # that many bytes of uncompressed pixels
        file.encapsulated()         # or all that is left: compressed pixels

Files without preamble, without meta information, in big endian and deflated are read. A length that
a file states is never believed: no read asks for more memory than the file has bytes left, and a
deflated file is inflated as far as its elements need (`HEADER`) and its declared pixels justify.
"""

from __future__ import annotations

import io
import logging
import math
import struct
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt
from pydicom._uid_dict import UID_dictionary
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.multival import MultiValue

from data_sharding.ledger import Refused

IMPLICIT, EXPLICIT, BIG_ENDIAN = (f"1.2.840.10008.1.2{tail}" for tail in ("", ".1", ".2"))
DEFLATED = "1.2.840.10008.1.2.1.99"
NATIVE = (IMPLICIT, EXPLICIT, BIG_ENDIAN, DEFLATED)
HEADER = 16 << 20  # bytes of elements before the pixels that a deflated file may inflate to
UNDEFINED = 0xFFFFFFFF
_PIXELS = (0x7FE00008, 0x7FE00009, 0x7FE00010)  # float, double, integer
_LONG = (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class File:
    """The elements before the pixels, and where the pixels are."""

    ds: Dataset
    syntax: str
    stream: BinaryIO
    size: int  # bytes in the file, as far as known: a deflated one has its limit here
    pixels: int  # tag of the pixel element, 0 if there is none
    vr: str
    length: int
    start: int

    @property
    def little(self) -> bool:
        """Whether numbers are little endian."""
        return self.syntax != BIG_ENDIAN

    def has_pixels(self) -> None:
        """Return if there is a PixelData element.

        Raises:
            Refused: no_pixels, undecodable (floating point).
        """
        if not self.pixels:
            raise Refused("no_pixels", "no PixelData element")
        if self.pixels != _PIXELS[2]:
            raise Refused("undecodable", "pixels of floating-point numbers")

    def holds(self, need: int) -> None:
        """Return if `need` bytes of uncompressed pixels can be there.

        Raises:
            Refused: truncated; undecodable where the pixels are in fragments.
        """
        if self.length == UNDEFINED:
            raise Refused("undecodable", "fragments under an uncompressed transfer syntax")
        there = min(self.length, max(self.size - self.start, 0))
        if there < need:
            raise Refused("truncated", f"{there} of {need} bytes of pixels")

    def native(self, need: int) -> Bytes:
        """The first `need` bytes of uncompressed pixels, uint8 [need], in memory of their own."""
        if isinstance(self.stream, _Inflated):
            self.stream.limit = self.start + need
        else:
            self.holds(need)
        self.stream.seek(self.start)
        out = np.empty(need, np.uint8)
        got = cast(io.BufferedReader, self.stream).readinto(out.data)
        if got < need:
            raise Refused("truncated", f"{got} of {need} bytes of pixels")
        return out

    def encapsulated(self) -> bytes:
        """Everything of the pixel element, to the end of the file where it states no length."""
        if isinstance(self.stream, _Inflated):
            raise Refused("undecodable", "fragments under an uncompressed transfer syntax")
        self.stream.seek(self.start)
        return self.stream.read(self.size if self.length == UNDEFINED else self.length)


class _Clamped(io.BufferedReader):
    """A file whose `read` never asks for more memory than there are bytes left."""

    size = 0

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and 0 <= size < 65536:
            return super().read(size)
        left = max(self.size - self.tell(), 0)
        return super().read(left if size is None or size < 0 else min(size, left))


class _Inflated(io.RawIOBase):
    """A deflated data set as a file, inflated as far as it is read and never past `limit`."""

    def __init__(self, packed: bytes) -> None:
        self._packed, self._inflate = packed, zlib.decompressobj(-zlib.MAX_WBITS)
        self._out, self._at, self.limit = bytearray(), 0, HEADER

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = 0, /) -> int:
        assert whence in (0, 1)
        self._at = max(offset + (self._at if whence else 0), 0)
        return self._at

    def _fill(self, end: int) -> None:
        wanted = min(end, self.limit)
        while len(self._out) < wanted and not self._inflate.eof:
            piece = self._inflate.decompress(self._packed, min(wanted - len(self._out), 1 << 20))
            self._packed = self._inflate.unconsumed_tail
            if not piece and not self._packed:
                break
            self._out += piece
        if end > self.limit and len(self._out) >= self.limit:
            raise Refused("too_large", f"deflated elements of more than {self.limit} bytes")

    def read(self, size: int | None = -1, /) -> bytes:
        end = self._at + size if size is not None and size >= 0 else self.limit
        self._fill(end)
        out = bytes(self._out[self._at : end])
        self._at += len(out)
        return out

    def readinto(self, buffer: Any, /) -> int:
        end = self._at + len(buffer)
        self._fill(end)
        piece = memoryview(self._out)[self._at : end]
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)


def syntax_name(syntax: str) -> str:
    """A transfer syntax in words, with its UID; what DICOM does not define is not repeated.

    A UID of somebody's own making could hold the number of a person.
    """
    known = UID_dictionary.get(syntax)
    return f"{known[0]} ({syntax})" if known else "an unknown transfer syntax"


def texts(ds: Dataset, name: str) -> list[str]:
    """All values of one element as stripped text; [] if absent or unreadable."""
    try:
        value = ds.get(name)
    except Exception:
        return []
    values = value if isinstance(value, MultiValue) else [] if value is None else [value]
    return [str(v).replace("\0", "").strip() for v in values]


def text(ds: Dataset, name: str) -> str:
    """One element as stripped text; the first of several values; '' if absent or unreadable."""
    return next(iter(texts(ds, name)), "")


def whole_number(ds: Dataset, name: str, otherwise: int = 0) -> int:
    """One element of 16 bits, 0..65535; `otherwise` if it is absent, empty or 0.

    Raises:
        Refused: undecodable, where a header writes it otherwise: as text it could be anything.
    """
    value = int(ds.get(name) or otherwise)
    if not 0 <= value <= 0xFFFF:
        raise Refused("undecodable", f"{name} is not a number of 16 bits")
    return value


def number(ds: Dataset, name: str, otherwise: float | None = None) -> float | None:
    """One element as a finite number; `otherwise` if it is none."""
    try:
        value = float(text(ds, name))
    except ValueError:
        return otherwise
    return value if math.isfinite(value) else otherwise


@contextmanager
def opened(source: Path | bytes, tags: Sequence[int]) -> Iterator[File]:
    """Open a file and read those of `tags` that come before its pixels.

    Raises:
        Refused: with the reason; nothing else, also not inside the `with`.
    """
    try:
        with _quiet():
            if isinstance(source, bytes):
                yield _parse(io.BytesIO(source), len(source), tags)
                return
            with Path(source).open("rb", buffering=0) as raw, _Clamped(raw) as stream:
                stream.size = raw.seek(0, 2)
                raw.seek(0)
                yield _parse(stream, stream.size, tags)
    except Refused:
        raise
    except EOFError as e:
        raise Refused("truncated", "the header ends early", str(e)[:200]) from e
    except Exception as e:  # pydicom raises whatever it likes on a hostile element
        if isinstance(e, OSError) and e.errno:
            raise Refused("unreadable", type(e).__name__, str(e)[:200]) from e
        raise Refused("undecodable", f"the header: {type(e).__name__}", str(e)[:200]) from e


def _parse(stream: Any, size: int, tags: Sequence[int]) -> File:
    head = stream.read(132)
    if not head:
        raise Refused("not_dicom", "an empty file")
    marked = head[128:132] == b"DICM"
    # without the mark, an element of group 2 or 8 must come first, in either byte order
    if not marked and (len(head) < 8 or head[:2] not in (b"\2\0", b"\x08\0", b"\0\2", b"\0\x08")):
        raise Refused("not_dicom", "no DICM mark, and no DICOM elements at the start")
    syntax, start = _meta(stream, 132 if marked else 0)
    stream.seek(start)
    if not syntax:
        syntax = _guess(stream.read(6))
        stream.seek(start)
    if syntax == DEFLATED:
        stream, size = _Inflated(stream.read(size)), 1 << 62
    found = [0, "", 0, 0]

    def stop(tag: int, vr: str | None, length: int) -> bool:
        if int(tag) not in _PIXELS:
            return False
        found[:] = int(tag), vr or "", length, stream.tell()
        return True

    ds = read_dataset(
        stream,
        syntax == IMPLICIT,
        syntax != BIG_ENDIAN,
        stop_when=stop,
        specific_tags=list(tags),
    )
    if not marked and not any(name in ds for name in ("SOPClassUID", "Modality", "Rows")):
        raise Refused("not_dicom", "no DICM mark, and no DICOM elements that make sense")
    if not found[0] and stream.tell() > size:
        raise Refused("truncated", "an element goes on past the end of the file")
    return File(ds, syntax, stream, size, *found)  # pyright: ignore[reportArgumentType]


def _meta(stream: Any, at: int) -> tuple[str, int]:
    """The transfer syntax of the meta information, '' if none, and where the data set starts."""
    syntax = ""
    while True:
        stream.seek(at)
        head = stream.read(12)
        if len(head) < 8 or head[:2] != b"\2\0":
            return syntax, at
        if head[4:6].isalpha() and head[4:6].isupper():
            long = head[4:6] in _LONG and len(head) == 12
            start, length = struct.unpack_from("<L" if long else "<H", head, 8 if long else 6), 0
            (length,), start = start, at + (12 if long else 8)
        else:  # some write even this group without value representations
            (length,), start = struct.unpack_from("<L", head, 4), at + 8
        if head[2:4] == b"\x10\0":
            stream.seek(start)
            syntax = stream.read(min(length, 64)).decode("latin-1").strip("\0 ")
        at = start + length


def _guess(head: bytes) -> str:
    """The transfer syntax of a data set whose first six bytes these are."""
    if not (head[4:6].isalpha() and head[4:6].isupper()):
        return IMPLICIT
    return BIG_ENDIAN if head[:1] == b"\0" else EXPLICIT


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence pydicom, which quotes values it dislikes, and values may name a person."""
    logger = logging.getLogger("pydicom")
    before = logger.disabled
    logger.disabled = True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled = before
