"""Pixels of a single frame to bit patterns; every size is checked before anything is decoded.

Decoders by measurement (2500x2500, 12 bits, one core): JPEG-lossless 42 ms by libjpeg-turbo 3, 59
by liblj92, 104 by jpegsof3; RLE 8 ms by imagecodecs, 86 by pydicom; JPEG 2000 600 ms by OpenJPEG.
HTJ2K takes 58 ms by OpenJPEG; OpenJPH needs 31 but gives damaged streams back as whole pictures.
libjpeg-turbo does so with streams that end early, and CharLS then searches on for 4 s: a JPEG and a
JPEG-LS must have their end marker. All of these are in imagecodecs, none is GPL.
"""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import numpy.typing as npt

from data_sharding.ledger import Refused
from data_sharding.pictures.elements import NATIVE, File, syntax_name, whole_number
from data_sharding.pictures.encapsulated import coded, frame

MAX_PIXELS = 64_000_000  # the largest chest detectors have 4302 x 3556 = 15 million
MAX_BYTES = 2 * MAX_PIXELS  # of all samples; 32-bit numbers count sixteenfold, for their arithmetic
MAX_SIDE = 65_535  # of DICOM's Rows and Columns, and of the area average's arithmetic
_OF = "1.2.840.10008.1.2"
_CODECS = {
    **{f"{_OF}.4.{n}": "jpeg8" for n in (50, 51, 53, 55)},  # baseline, extended, progressive
    **{f"{_OF}.4.{n}": "jpeg8" for n in (57, 70)},  # lossless
    **{f"{_OF}.4.{n}": "jpegls" for n in (80, 81)},
    **{f"{_OF}.4.{n}": "jpeg2k" for n in (90, 91, 201, 202, 203)},
}
_PADDED = 4096  # bytes that may follow the end marker of a JPEG
_RLE, _DEFLATED_FRAMES = f"{_OF}.5", f"{_OF}.8.1"
_KNOWN = {*NATIVE, *_CODECS, _RLE, _DEFLATED_FRAMES}

Codes = npt.NDArray[Any]


def check_size(rows: int, columns: int) -> None:
    """Refuse a declared size before memory is asked for.

    Raises:
        Refused: no_pixels for nothing, too_large for more than `MAX_PIXELS` or `MAX_SIDE`.
    """
    if rows < 1 or columns < 1:
        raise Refused("no_pixels", f"{columns}x{rows} pixels")
    if rows * columns > MAX_PIXELS or max(rows, columns) > MAX_SIDE:
        raise Refused("too_large", f"{columns}x{rows} pixels are declared")


def check_declared(file: File) -> tuple[int, int, int, int]:
    """Rows, columns, samples a pixel and bits allocated, if they make sense and can be there.

    Raises:
        Refused: no_pixels, too_large, undecodable, or truncated for an uncompressed file too small.
    """
    ds = file.ds
    file.has_pixels()
    if "Rows" not in ds or "Columns" not in ds:
        raise Refused("no_pixels", "no Rows and Columns")
    rows, columns = whole_number(ds, "Rows"), whole_number(ds, "Columns")
    samples = whole_number(ds, "SamplesPerPixel", 1)
    check_size(rows, columns)
    bits = whole_number(ds, "BitsAllocated")
    if bits not in (1, 8, 16, 32) or samples not in (1, 3):
        said = f"{samples} samples of {bits} bits allocated"
        raise Refused("undecodable", f"{said}; 1 or 3 of 1, 8, 16 or 32 are read")
    if _bytes(rows * columns * samples, bits) * (16 if bits == 32 else 1) > MAX_BYTES:
        raise Refused("too_large", f"{columns}x{rows} pixels of {samples} times {bits} bits")
    if file.syntax not in _KNOWN:
        raise Refused("undecodable", f"no decoder for {syntax_name(file.syntax)}")
    if file.syntax in NATIVE:
        file.holds(_bytes(rows * columns * samples, bits))
    return rows, columns, samples, bits


def decode(file: File) -> tuple[Codes, bool]:
    """The bit patterns of one frame, unsigned [rows, columns(, 3)], and whether they are signed.

    Signed is as the header says, except where a JPEG 2000 stream holds negative numbers and the
    header denies it: the stream is then right. One bit a pixel becomes one byte a pixel.

    Raises:
        Refused: truncated, too_large, no_pixels or undecodable.
    """
    rows, columns, samples, bits = check_declared(file)
    signed = int(file.ds.get("PixelRepresentation") or 0) == 1
    shape = (rows, columns) if samples == 1 else (rows, columns, samples)
    try:
        if file.syntax in NATIVE:
            need = _bytes(rows * columns * samples, bits)
            return _arrange(
                file, file.native(need + need % 2 * _swapped(file)), shape, bits
            ), signed
        stream = frame(file.encapsulated())
        if file.syntax in (_RLE, _DEFLATED_FRAMES):
            unpack = _rle if file.syntax == _RLE else _inflate
            return unpack(file, stream, shape, bits), signed
        numbers = _coded(stream, file.syntax, shape)
    except Refused:
        raise
    except Exception as e:  # decoders raise whatever they like on damaged data
        said = f"{syntax_name(file.syntax)}: {type(e).__name__}"
        raise Refused("undecodable", said, str(e)[:200]) from e
    if 8 * numbers.itemsize > bits:
        said = f"{8 * numbers.itemsize} bits in the stream, {bits} allocated"
        raise Refused("undecodable", f"{syntax_name(file.syntax)}: {said}")
    signed = signed or bool(numbers.dtype.kind == "i" and numbers.min() < 0)
    wide = numbers.astype(f"{numbers.dtype.kind}{bits // 8}", copy=False)
    return np.ascontiguousarray(wide).view(f"u{bits // 8}"), signed


def _bytes(values: int, bits: int) -> int:
    return (values * bits + 7) // 8


def _swapped(file: File) -> bool:
    """Whether bytes travel in swapped pairs: 8 bits in a big-endian word (PS3.5 A.3)."""
    return not file.little and file.vr == "OW" and int(file.ds.BitsAllocated) == 8


def _arrange(file: File, data: npt.NDArray[np.uint8], shape: Any, bits: int) -> Codes:
    """Uncompressed bytes to native numbers, colour channels last."""
    count = int(np.prod(shape))
    if bits == 1:
        return np.unpackbits(data, count=count, bitorder="little").reshape(shape)
    if _swapped(file):
        data = data.view(np.uint16).byteswap().view(np.uint8)[:count]
    values = data.view(f"{'<' if file.little else '>'}u{bits // 8}")
    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    if len(shape) == 3 and int(file.ds.get("PlanarConfiguration") or 0) == 1:
        return values.reshape(shape[2], *shape[:2]).transpose(1, 2, 0)
    return values.reshape(shape)


def _rle(file: File, stream: bytes | memoryview, shape: Any, bits: int) -> Codes:
    """Run lengths (PS3.5 G): imagecodecs gives planes of samples, one after the other."""
    import imagecodecs  # half the import time of this folder; uncompressed sites never pay it

    if bits == 1:
        raise Refused("undecodable", f"{syntax_name(file.syntax)}: one bit a pixel")
    need = int(np.prod(shape)) * bits // 8
    out = np.empty(need, np.uint8)
    got = imagecodecs.dicomrle_decode(stream, f"<u{bits // 8}", out=out)  # pyright: ignore
    if len(got) != need:
        raise Refused("truncated", f"{len(got)} of {need} bytes of pixels after RLE")
    values = out.view(f"<u{bits // 8}")
    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    if len(shape) == 3:
        return values.reshape(shape[2], *shape[:2]).transpose(1, 2, 0)
    return values.reshape(shape)


def _inflate(file: File, stream: bytes | memoryview, shape: Any, bits: int) -> Codes:
    """Deflated frames (PS3.5 A.4.12): never inflated past the declared pixels."""
    need = _bytes(int(np.prod(shape)), bits)
    data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(stream, need)
    if len(data) < need:
        raise Refused("truncated", f"{len(data)} of {need} bytes of pixels")
    return _arrange(file, np.frombuffer(bytearray(data), np.uint8), shape, bits)


def _coded(stream: bytes | memoryview, syntax: str, shape: tuple[int, ...]) -> Codes:
    """The numbers in a JPEG, JPEG-LS, JPEG 2000 or HTJ2K stream, integers of at most 16 bits."""
    codec, name, said = _CODECS[syntax], syntax_name(syntax), coded(stream)
    if said is None:
        raise Refused("undecodable", f"{name}: the stream states no size")
    if (said.rows, said.columns) != shape[:2]:
        sizes = f"{shape[1]}x{shape[0]} declared, {said.columns}x{said.rows} in the stream"
        raise Refused("undecodable", f"{name}: {sizes}")
    if said.channels != (1 if len(shape) == 2 else shape[2]) or not 2 <= said.bits <= 16:
        raise Refused("undecodable", f"{name}: {said.channels} channels of {said.bits} bits")
    if codec != "jpeg2k" and b"\xff\xd9" not in bytes(stream[-_PADDED:]):
        raise Refused("truncated", f"{name}: the stream has no end")
    import imagecodecs  # half the import time of this folder; uncompressed sites never pay it

    options = {"numthreads": 1} if codec == "jpeg2k" else {}
    pixels = np.asarray(getattr(imagecodecs, f"{codec}_decode")(stream, **options))
    if pixels.shape != shape or pixels.dtype.kind not in "iu" or pixels.itemsize > 2:
        raise Refused("undecodable", f"{name}: {pixels.shape} {pixels.dtype}")
    return pixels
