"""A photograph's pixels as a person sees them: upright, sRGB, 8 bits; and nothing else of the file.

    from data_sharding.pictures.photos import read_photo, to_square
    photo = read_photo(Path("a.jpg"))      # uint8 [H, W, 3], RGB, upright
    photo.applied                          # what was done to get there
    sample = to_square(photo.pixels, 512)  # uint8 [512, 512, 3], the whole picture

JPEG and PNG only, by their first bytes; the extension is not looked at. Of EXIF only the
orientation and the day it was taken are read, and neither EXIF nor GPS leaves this module. A file
that is no use raises `Refused` with a reason; nothing else is raised, whatever the file holds.

A grey photograph is taken, its one channel three times, and `applied` says so; where a picture is
transparent it is shown on black; 16-bit channels keep their upper 8 bits. An embedded colour
profile (phones and tablets write Display P3) is converted to sRGB; without one sRGB is assumed.
"""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms, ImageFile

from data_sharding.ledger import Refused
from data_sharding.sources.tables import parse_date

MAX_PIXELS = 64_000_000  # 192 MB as RGB; the largest tablets and phones in common use take 48
MAX_BYTES = 256_000_000
#: What `to_square` did, for a sample's `applied`.
FITTED = "whole picture fitted to a square with black bars (photo/1)"

_ORIENTATION, _EXIF_IFD, _TAKEN = 0x0112, 0x8769, 0x9003
_TURN = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_GREY = ("L", "LA", "1", "I;16")
_COLOURS = ("RGB", "RGBA", "P", "PA", *_GREY)


@dataclass(frozen=True)
class Header:
    """What is read of a photograph before it is decoded. Private: never in a shard.

    `sha256`: of the file's bytes. `taken`: EXIF DateTimeOriginal, None if absent or not a date.
    """

    sha256: str
    taken: date | None
    width: int
    height: int


@dataclass(frozen=True)
class Photo:
    """`pixels`: uint8 [H, W, 3], RGB, upright. `applied`: what was done, nothing of a person."""

    pixels: npt.NDArray[np.uint8]
    applied: tuple[str, ...]


def read_header(path: Path) -> Header:
    """Format, declared size and day of a photograph, without decoding it.

    Raises:
        Refused: unreadable, heic, not_photo, animated, too_large, undecodable, no_pixels.
    """
    data = _bytes(path)

    def read(image: ImageFile.ImageFile) -> Header:
        # a PNG may have EXIF behind its pixels too, and would be decoded to look for it
        early = image.format != "PNG" or "exif" in image.info
        taken = _exif(image, lambda exif: exif.get_ifd(_EXIF_IFD).get(_TAKEN)) if early else None
        day = parse_date(str(taken).replace(":", "-", 2)) if taken else None
        return Header(hashlib.sha256(data).hexdigest(), day, *image.size)

    return _guarded(data, read)


def read_photo(source: Path | bytes) -> Photo:
    """A photograph as a person sees it.

    Raises:
        Refused: as `read_header`, and truncated, blank.
    """
    return _guarded(source if isinstance(source, bytes) else _bytes(source), _photo)


def to_square(pixels: npt.NDArray[np.uint8], size: int) -> npt.NDArray[np.uint8]:
    """The whole picture in the middle of a black square; its aspect is kept.

    Args:
        pixels: uint8 [H, W, 3].
        size: side of the square.

    Returns:
        uint8 [size, size, 3]. Made smaller by area averaging, larger by linear interpolation.
    """
    height, width = pixels.shape[:2]
    scale = size / max(height, width)
    rows, columns = max(1, round(height * scale)), max(1, round(width * scale))
    inside = pixels
    if (rows, columns) != (height, width):
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        inside = cv2.resize(pixels, (columns, rows), interpolation=how)
    out = np.zeros((size, size, 3), np.uint8)
    top, left = (size - rows) // 2, (size - columns) // 2
    out[top : top + rows, left : left + columns] = inside
    return out


def _bytes(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise Refused("unreadable", "not a regular file")
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise Refused("too_large", f"a file of {size} bytes")
        return path.read_bytes()
    except OSError as e:
        raise Refused("unreadable", type(e).__name__, str(e)[:200]) from e


def _guarded(data: bytes, read: Callable[[ImageFile.ImageFile], Any]) -> Any:
    """Call `read` with the opened picture; whatever goes wrong in a library is a refusal."""
    _check_start(data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=("JPEG", "PNG")) as image:
                _check_header(image, data)
                return read(image)
    except Refused:
        raise
    except Image.DecompressionBombError as e:
        raise Refused("too_large", "more pixels are declared than any photograph has") from e
    except Exception as e:
        said = str(e)[:200]
        if "truncated" in said or isinstance(e, EOFError):
            raise Refused("truncated", "the picture ends too early", said) from e
        raise Refused("undecodable", f"damaged: {type(e).__name__}", said) from e


def _check_start(data: bytes) -> None:
    if data[:3] == b"\xff\xd8\xff" or data[:8] == b"\x89PNG\r\n\x1a\n":
        return
    if data[4:8] == b"ftyp" and data[8:12] in _HEIF_BRANDS:
        raise Refused("heic", "HEIF/HEIC by its first bytes")
    raise Refused("not_photo", "an empty file" if not data else "neither JPEG nor PNG")


def _check_header(image: ImageFile.ImageFile, data: bytes) -> None:
    """Refuse by what is declared, before memory is asked for."""
    width, height = image.size
    if width < 1 or height < 1:
        raise Refused("no_pixels", f"{width}x{height} pixels")
    if width * height > MAX_PIXELS:
        raise Refused("too_large", f"{width}x{height} pixels are declared")
    if image.mode not in _COLOURS:
        raise Refused("not_photo", "colours for print, not of a camera")
    if image.format == "PNG":
        if getattr(image, "is_animated", False):
            raise Refused("animated", "an animated PNG")
        # deflate makes at most 1032 bytes of one: more pixels than that cannot be in the file
        bits = 1 if image.mode == "1" else 8
        if width * height * bits // 8 > 1040 * len(data) + 1040:
            raise Refused("truncated", f"{len(data)} bytes for {width}x{height} pixels")
        if b"IEND" not in data:
            raise Refused("truncated", "the PNG has no end")


def _photo(image: ImageFile.ImageFile) -> Photo:
    assert not ImageFile.LOAD_TRUNCATED_IMAGES  # another library may have switched it on
    # a JPEG with more pictures behind the first (MPO: depth, preview) is its first picture
    applied = ["decoded PNG" if image.format == "PNG" else "decoded JPEG"]
    deep = any("16" in str(tile[3]) for tile in image.tile)
    profile = image.info.get("icc_profile")
    image.load()
    if deep:
        applied.append("upper 8 of 16 bits")
    rgb = _rgb(image, applied)
    if profile:
        rgb = _to_srgb(rgb, image.mode in _GREY, profile, applied)
    turn = _exif(image, lambda exif: exif.get(_ORIENTATION))
    if isinstance(turn, int) and turn in _TURN:
        rgb = rgb.transpose(_TURN[turn])
        applied.append(f"turned upright (EXIF orientation {turn})")
    pixels = np.asarray(rgb)
    assert pixels.dtype == np.uint8
    if min(pixels.shape[:2]) < 16:
        raise Refused("blank", f"only {pixels.shape[1]}x{pixels.shape[0]} pixels")
    if int(pixels.max()) - int(pixels.min()) < 2:
        raise Refused("blank", "one colour all over")
    return Photo(pixels, tuple(applied))


def _exif(image: Image.Image, get: Callable[[Image.Exif], Any]) -> Any:
    """Something of EXIF; damaged EXIF is no reason to lose a photograph."""
    try:
        return get(image.getexif())
    except Exception:
        return None


def _rgb(image: Image.Image, applied: list[str]) -> Image.Image:
    """Mode RGB, 8 bits, opaque."""
    if image.mode in _GREY:
        applied.append("grey channel three times")
    if image.mode == "I;16":  # Pillow reduces 16-bit colour by itself, and grey not at all
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        if rgba.getchannel("A").getextrema() != (255, 255):
            black = Image.new("RGBA", rgba.size, (0, 0, 0, 255))
            rgba = Image.alpha_composite(black, rgba)
            applied.append("transparent parts on black")
        return rgba.convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _to_srgb(rgb: Image.Image, grey: bool, profile: bytes, applied: list[str]) -> Image.Image:
    """Colours of an embedded profile as sRGB's. Its name, which could be anything, is not kept."""
    try:
        found = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "srgb" in ImageCms.getProfileDescription(found).lower():
            return rgb
        if grey or str(getattr(found.profile, "xcolor_space", "")).strip() != "RGB":
            applied.append("colour profile not for colour: not used")
            return rgb
        out = ImageCms.profileToProfile(
            rgb,
            found,
            ImageCms.createProfile("sRGB"),
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            outputMode="RGB",
        )
    except Exception:
        applied.append("unreadable colour profile: taken as sRGB")
        return rgb
    assert out is not None
    applied.append("embedded colour profile to sRGB")
    return out
