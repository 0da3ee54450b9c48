"""Files to damage and ways to damage them: the same bytes for the same number, always.

Seeds are small and valid, one for each way a radiograph is stored. `mutated` flips bytes, cuts,
swaps tags, writes impossible values and lengths, and mixes files.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import imagecodecs
import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.tag import Tag
from pydicom.uid import UID

from data_sharding.pictures.dicom import ALLOWED
from tests.data_sharding.hand_made import radiograph

_OF = "1.2.840.10008.1.2"
_TAGS = [struct.pack("<HH", Tag(x).group, Tag(x).element) for x in (*ALLOWED, "PixelData")]
_NUMBERS = (0, 1, 2, 7, 8, 31, 32, 33, 64, 127, 128, 255, 256, 4096, 32767, 32768, 65534, 65535)
_LENGTHS = (0, 1, 2, 0xFFFE, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)


def smooth(seed: int, side: int = 32) -> np.ndarray:
    """A picture with something to see in it, uint16 [side, side], 12 bits, that compresses."""
    coarse = np.random.default_rng(seed).integers(0, 4096, (8, 8)).astype(np.float32)
    return np.clip(cv2.resize(coarse, (side, side)), 0, 4095).astype(np.uint16)


def radiographs(folder: Path, seed: int = 0) -> dict[str, bytes]:
    """Valid chest radiographs by name: every transfer syntax and every step of the display."""
    deep = smooth(seed)
    flat = (deep >> 4).astype(np.uint8)
    table = Dataset()
    table.LUTDescriptor, table.LUTData = [256, 0, 16], list(range(0, 65536, 256))
    table["LUTDescriptor"].VR = table["LUTData"].VR = "US"
    kinds: dict[str, dict] = {
        "explicit": {},
        "big endian": {"syntax": f"{_OF}.2", "PixelData": deep.astype(">u2").tobytes()},
        "8 bits": {"pixels": flat},
        "inverted": {"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"},
        "window": {"WindowCenter": [2000, 1], "WindowWidth": [900, 2], "VOILUTFunction": "SIGMOID"},
        "signed": {"PixelRepresentation": 1, "RescaleSlope": 2, "RescaleIntercept": -9.5},
        "modality table": {"pixels": flat, "ModalityLUTSequence": [table]},
        "VOI table": {"pixels": flat, "VOILUTSequence": [table]},
        "padding": {"PixelPaddingValue": 5, "PixelPaddingRangeLimit": 9},
        "colour": {
            **{"pixels": np.dstack([flat] * 3), "SamplesPerPixel": 3, "PlanarConfiguration": 0},
            **{"PhotometricInterpretation": "RGB", "BitsStored": 8, "HighBit": 7},
        },
    }
    coded: dict[str, tuple[str, bytes, np.ndarray]] = {
        "JPEG": (".4.50", imagecodecs.jpeg8_encode(flat), flat),
        "JPEG 12": (".4.51", imagecodecs.jpeg8_encode(deep, bitspersample=12), deep),
        "JPEG lossless": (".4.70", imagecodecs.ljpeg_encode(deep, bitspersample=12), deep),
        "JPEG-LS": (".4.80", imagecodecs.jpegls_encode(deep), deep),
        "JPEG-LS lossy": (".4.81", imagecodecs.jpegls_encode(deep, level=2), deep),
        "JPEG 2000": (".4.90", imagecodecs.jpeg2k_encode(deep, codecformat="j2k", level=0), deep),
        "JPEG 2000 lossy": (".4.91", imagecodecs.jpeg2k_encode(flat, codecformat="j2k"), flat),
        "HTJ2K": (".4.201", imagecodecs.htj2k_encode(deep), deep),
    }
    for name, (syntax, stream, pixels) in coded.items():
        data = {"syntax": _OF + syntax, "pixels": pixels, "PixelData": encapsulate([stream])}
        kinds[name] = data
    rewritten = {"implicit": _OF, "deflated": f"{_OF}.1.99", "RLE": f"{_OF}.5", "no preamble": ""}
    out = {}
    for n, name in enumerate((*kinds, *rewritten)):
        own = {"PatientID": f"P{seed}-{n}", "SOPInstanceUID": f"1.2.3.{seed + 1}.{n}"}
        path = radiograph(folder / "seed", **{"pixels": deep, **own, **kinds.get(name, {})})
        if name in coded:  # fragments belong in an element of undefined length
            ds = pydicom.dcmread(path)
            ds["PixelData"].is_undefined_length = True
            ds["PixelData"].VR = "OB"
            ds.save_as(path)
        elif rewritten.get(name):
            ds = pydicom.dcmread(path)
            if name == "RLE":
                ds.compress(rewritten[name], generate_instance_uid=False)
            ds.file_meta.TransferSyntaxUID = UID(rewritten[name])
            pydicom.dcmwrite(path, ds, implicit_vr=name == "implicit", little_endian=True)
        out[name] = path.read_bytes()[132 * (name == "no preamble") :]
    return out


Change = Callable[[bytearray, np.random.Generator, Sequence[bytes]], bytearray]


def _flip(data: bytearray, rng: np.random.Generator, _: Sequence[bytes]) -> bytearray:
    for at in rng.integers(0, len(data), 1 + rng.integers(16)):
        data[at] ^= 1 + int(rng.integers(255))
    return data


def _flip_header(data: bytearray, rng: np.random.Generator, _: Sequence[bytes]) -> bytearray:
    for at in rng.integers(min(132, len(data) - 1), min(len(data), 900), 1 + rng.integers(4)):
        data[at] = int(rng.integers(256))
    return data


def _cut(data: bytearray, rng: np.random.Generator, _: Sequence[bytes]) -> bytearray:
    return data[: rng.integers(0, len(data))]


def _places(data: bytearray) -> list[tuple[int, bytes]]:
    return [(at, tag) for tag in _TAGS if (at := data.find(tag)) >= 0]


def _swap_tags(data: bytearray, rng: np.random.Generator, _: Sequence[bytes]) -> bytearray:
    places = _places(data)
    if len(places) > 1:
        (a, one), (b, other) = (places[i] for i in rng.choice(len(places), 2, replace=False))
        data[a : a + 4], data[b : b + 4] = other, one
    return data


def _other_tag(data: bytearray, rng: np.random.Generator, _: Sequence[bytes]) -> bytearray:
    places = _places(data)
    if places:
        at, _tag = places[rng.integers(len(places))]
        data[at : at + 4] = _TAGS[rng.integers(len(_TAGS))]
    return data


def _value(data: bytearray, rng: np.random.Generator, _: Sequence[bytes]) -> bytearray:
    for _again in range(1 + rng.integers(3)):
        places = _places(data)
        if places:
            at = places[rng.integers(len(places))][0] + 8  # behind tag, VR and length
            data[at : at + 2] = struct.pack("<H", _NUMBERS[rng.integers(len(_NUMBERS))])
    return data


def _length(data: bytearray, rng: np.random.Generator, _: Sequence[bytes]) -> bytearray:
    places = _places(data)
    if places:
        at, length = places[rng.integers(len(places))][0], _LENGTHS[rng.integers(len(_LENGTHS))]
        where = at + (4, 8)[rng.integers(2)]
        data[where : where + 4] = struct.pack("<I", length)
    return data


def _syntax(data: bytearray, rng: np.random.Generator, _: Sequence[bytes]) -> bytearray:
    at = data.find(_OF.encode(), 132)
    tails = ("", ".1", ".2", ".1.99", ".5", ".4.50", ".4.51", ".4.57", ".4.70", ".4.80", ".4.90")
    tail = (*tails, ".4.201", ".4.100", ".8.1")[rng.integers(len(tails) + 3)].encode()
    end = at + len(_OF)
    while at >= 0 and end < len(data) and chr(data[end]) in ".0123456789\0":
        end += 1
    data[at + len(_OF) : end] = tail.ljust(end - at - len(_OF), b"\0")
    return data


def _stream(data: bytearray, rng: np.random.Generator, _: Sequence[bytes]) -> bytearray:
    """Change bytes at the start of the pixels, where codecs keep sizes and tables."""
    at = data.find(b"\xe0\x7f\x10\x00")
    if at >= 0:
        for where in at + 8 + rng.integers(0, 120, 1 + rng.integers(6)):
            if where < len(data):
                data[where] = (0, 255, int(rng.integers(256)))[rng.integers(3)]
    return data


def _repeat(data: bytearray, rng: np.random.Generator, _: Sequence[bytes]) -> bytearray:
    a, b = sorted(int(x) for x in rng.integers(0, len(data), 2))
    return data[:b] + data[a : min(b, a + 2000)] + data[b:]


def _remove(data: bytearray, rng: np.random.Generator, _: Sequence[bytes]) -> bytearray:
    a, size = int(rng.integers(len(data))), int(rng.integers(1, 200))
    return data[:a] + data[a + size :]


def _fill(data: bytearray, rng: np.random.Generator, _: Sequence[bytes]) -> bytearray:
    a, size = int(rng.integers(len(data))), int(rng.integers(1, 600))
    size = min(size, len(data) - a)
    data[a : a + size] = bytes([(0, 255, 65)[rng.integers(3)]]) * size
    return data


def _splice(data: bytearray, rng: np.random.Generator, seeds: Sequence[bytes]) -> bytearray:
    other = seeds[rng.integers(len(seeds))]
    return data[: rng.integers(len(data))] + other[rng.integers(len(other)) :]


#: For files of any kind, and those that know DICOM.
BYTES: tuple[Change, ...] = (_flip, _cut, _repeat, _remove, _fill, _splice)
CHANGES: tuple[Change, ...] = (
    *BYTES,
    *(_flip_header, _swap_tags, _other_tag, _value, _length, _syntax, _stream),
)


def mutated(seeds: Sequence[bytes], number: int, changes: Sequence[Change] = CHANGES) -> bytes:
    """Mutation `number`: one seed with one or two changes."""
    rng = np.random.Generator(np.random.Philox(number))
    data = bytearray(seeds[rng.integers(len(seeds))])
    for _ in range(1 + rng.integers(2)):
        if len(data) > 8:
            data = changes[rng.integers(len(changes))](data, rng, seeds)
    return bytes(data)
