"""Photographs as phones, tablets and people leave them, and files that only claim to be one."""

from __future__ import annotations

import io
import struct
import zlib
from datetime import date
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from data_sharding.ledger import Refused
from data_sharding.pictures.photos import MAX_PIXELS, read_header, read_photo, to_square

RNG = np.random.default_rng(0)
SMOOTH = cv2.resize(RNG.integers(0, 256, (6, 4, 3)).astype(np.uint8), (80, 120))  # H 120, W 80


def encoded(pixels: np.ndarray = SMOOTH, kind: str = "PNG", **how: Any) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, kind, **how)
    return out.getvalue()


def exif(orientation: int | None = None, taken: str = "", **more: Any) -> Image.Exif:
    found = Image.Exif()
    if orientation is not None:
        found[0x0112] = orientation
    if taken:
        found.get_ifd(0x8769)[0x9003] = taken
    for tag, value in more.items():
        found[int(tag[1:], 16)] = value
    return found


def reason(data: bytes) -> str:
    with pytest.raises(Refused) as caught:
        read_photo(data)
    return caught.value.reason


#: How a camera held in this orientation stored an upright picture (EXIF 2.32, 4.6.4 A).
STORED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a, -1),
}


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_all_eight_orientations_come_upright(orientation, kind):
    stored = np.ascontiguousarray(STORED[orientation](SMOOTH))
    how = {"quality": 95, "subsampling": 0} if kind == "JPEG" else {}
    photo = read_photo(encoded(stored, kind, exif=exif(orientation), **how))
    assert photo.pixels.shape == SMOOTH.shape
    error = np.abs(photo.pixels.astype(int) - SMOOTH)
    assert error.max() <= (0 if kind == "PNG" else 12)
    turned = [step for step in photo.applied if "upright" in step]
    assert turned == (
        [] if orientation == 1 else [f"turned upright (EXIF orientation {orientation})"]
    )


def test_opencv_sees_the_same_upright_picture():
    data = encoded(SMOOTH, "JPEG", exif=exif(6), quality=95)
    other = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    assert other is not None
    assert np.abs(read_photo(data).pixels.astype(int) - other).max() <= 2


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_is_none_turns_nothing(orientation):
    photo = read_photo(encoded(exif=exif(orientation)))
    assert np.array_equal(photo.pixels, SMOOTH)
    assert photo.applied == ("decoded PNG",)


def test_broken_exif_loses_no_photograph(tmp_path):
    data = encoded(SMOOTH, "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f" + b"\xff" * 40)
    assert read_photo(data).pixels.shape == SMOOTH.shape
    path = tmp_path / "a"
    path.write_bytes(data)
    assert read_header(path).taken is None


@pytest.mark.parametrize(
    ("taken", "day"),
    [
        ("2024:03:05 10:11:12", date(2024, 3, 5)),
        ("2024:03:05", date(2024, 3, 5)),
        ("0000:00:00 00:00:00", None),
        ("    :  :     :  :  ", None),
        ("5 March", None),
        ("", None),
    ],
)
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_the_day_a_photograph_was_taken(tmp_path, taken, day, kind):
    path = tmp_path / "a.jpg"
    path.write_bytes(encoded(SMOOTH, kind, exif=exif(6, taken)))
    found = read_header(path)
    assert found.taken == day
    assert (found.width, found.height) == (80, 120)  # as stored


def test_nothing_of_exif_is_kept():
    secret = exif(6, "2024:03:05 10:11:12", x010E="Kim Minji", x010F="Apple", x9286="HOSP-17")
    secret.get_ifd(0x8825)[2] = (37.0, 33.0, 0.0)
    photo = read_photo(encoded(SMOOTH, "JPEG", exif=secret, comment=b"Kim Minji"))
    said = repr(photo.applied)
    for word in ("Kim", "Apple", "HOSP", "37", "2024"):
        assert word not in said
    assert photo.__dict__.keys() == {"pixels", "applied"}


def test_grey_alpha_palette_and_sixteen_bits():
    grey = SMOOTH[..., 0]
    for data in (encoded(grey), encoded(grey, "JPEG", quality=95)):
        photo = read_photo(data)
        assert (photo.pixels == photo.pixels[..., :1]).all()
        assert "grey channel three times" in photo.applied
        assert np.abs(photo.pixels[..., 0].astype(int) - grey).max() <= 6
    opaque = np.dstack([SMOOTH, np.full((120, 80), 255, np.uint8)])
    assert np.array_equal(read_photo(encoded(opaque)).pixels, SMOOTH)
    half = opaque.copy()
    half[:60, :, 3] = 0
    photo = read_photo(encoded(half))
    assert not photo.pixels[:60].any()
    assert np.array_equal(photo.pixels[60:], SMOOTH[60:])
    assert "transparent parts on black" in photo.applied
    few = Image.fromarray(SMOOTH).quantize(16)
    out = io.BytesIO()
    few.save(out, "PNG")
    assert np.array_equal(read_photo(out.getvalue()).pixels, np.asarray(few.convert("RGB")))
    deep = RNG.integers(0, 65536, (40, 30, 3)).astype(np.uint16)
    for wide in (deep, deep[..., 0]):
        ok, data = cv2.imencode(".png", wide[..., ::-1] if wide.ndim == 3 else wide)
        assert ok
        photo = read_photo(data.tobytes())
        assert np.array_equal(
            photo.pixels, (wide if wide.ndim == 3 else np.dstack([wide] * 3)) >> 8
        )
        assert "upper 8 of 16 bits" in photo.applied


# Display P3's colorants adapted to D50 (as phones write them), and sRGB's.
P3 = [[0.51512, 0.29198, 0.15710], [0.24120, 0.69225, 0.06657], [-0.00105, 0.04189, 0.78407]]
SRGB = [[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]]
GAMMA = 563 / 256


def p3_profile() -> bytes:
    """A small ICC profile (version 2, matrix and gamma) with Display P3's primaries."""

    def fixed(*numbers: float) -> bytes:
        return b"".join(struct.pack(">i", round(n * 65536)) for n in numbers)

    tags = {b"desc": b"desc\0\0\0\0" + struct.pack(">I", 9) + b"Kim's P3\0" + bytes(79)}
    tags[b"cprt"] = b"text\0\0\0\0none\0"
    tags[b"wtpt"] = b"XYZ \0\0\0\0" + fixed(0.9642, 1, 0.8249)
    for n, name in enumerate((b"rXYZ", b"gXYZ", b"bXYZ")):
        tags[name] = b"XYZ \0\0\0\0" + fixed(*(row[n] for row in P3))
    for name in (b"rTRC", b"gTRC", b"bTRC"):
        tags[name] = b"curv\0\0\0\0" + struct.pack(">IH", 1, 563)
    table, body = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for name, value in tags.items():
        table += name + struct.pack(">II", start + len(body), len(value))
        body += value + bytes(-len(value) % 4)
    size = start + len(body)
    header = struct.pack(">I4sI4s4s4s", size, b"none", 0x02100000, b"mntr", b"RGB ", b"XYZ ")
    header += (
        struct.pack(">6H", 2024, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + fixed(0.9642, 1, 0.8249)
    )
    return header.ljust(128, b"\0") + table + body


def test_a_wide_gamut_profile_becomes_srgb_as_the_formula_says():
    photo = read_photo(encoded(icc_profile=p3_profile()))
    linear = (SMOOTH / 255.0) ** GAMMA @ np.array(P3).T @ np.linalg.inv(np.array(SRGB)).T
    linear = np.clip(linear, 0, 1)
    bent = 1.055 * linear ** (1 / 2.4) - 0.055
    wanted = np.where(linear <= 0.0031308, 12.92 * linear, bent) * 255
    # dark values are steep in sRGB: an 8-bit conversion is coarse there
    error = np.abs(photo.pixels - wanted)[wanted > 20]
    assert error.max() < 3
    assert np.abs(photo.pixels.astype(int) - SMOOTH).max() > 5  # it did something
    assert "embedded colour profile to sRGB" in photo.applied
    assert "Kim" not in repr(photo.applied)


def test_profiles_that_change_nothing():
    from PIL import ImageCms

    own = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert np.array_equal(read_photo(encoded(icc_profile=own)).pixels, SMOOTH)
    photo = read_photo(encoded(icc_profile=b"no profile at all"))
    assert np.array_equal(photo.pixels, SMOOTH)
    assert "unreadable colour profile: taken as sRGB" in photo.applied
    photo = read_photo(encoded(SMOOTH[..., 0], icc_profile=p3_profile()))
    assert "colour profile not for colour: not used" in photo.applied


def test_the_first_of_several_pictures_in_a_jpeg():
    more = [Image.fromarray(SMOOTH[::-1])]
    photo = read_photo(encoded(SMOOTH, "MPO", append_images=more, save_all=True, quality=95))
    assert np.abs(photo.pixels.astype(int) - SMOOTH).max() < 30


def png_of(width: int, height: int) -> bytes:
    """The header of a PNG of this size, and next to nothing after it."""

    def chunk(name: bytes, data: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(name + data))
        return struct.pack(">I", len(data)) + name + data + crc

    size = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + body


def jpeg_of(width: int, height: int) -> bytes:
    data = bytearray(encoded(SMOOTH, "JPEG"))
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(data)


def test_a_bomb_is_refused_by_its_declared_size(tmp_path):
    import tracemalloc

    tracemalloc.start()
    for data in (png_of(65535, 65535), png_of(2**31 - 1, 2**31 - 1), jpeg_of(65535, 65535)):
        assert reason(data) == "too_large"
    assert reason(png_of(8000, 8000)) == "truncated"  # allowed, but not in so few bytes
    assert reason(jpeg_of(9000, 9000)) == "too_large"
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()
    assert 9000 * 9000 > MAX_PIXELS >= 8000 * 8000
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg_of(65535, 65535))
    with pytest.raises(Refused, match="larger"):
        read_header(path)


def test_what_is_no_photograph_says_what_it_is(tmp_path):
    heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100)
    cmyk = io.BytesIO()
    Image.fromarray(SMOOTH).convert("CMYK").save(cmyk, "JPEG")
    frames = io.BytesIO()
    first = Image.fromarray(SMOOTH)
    first.save(frames, "PNG", save_all=True, append_images=[Image.fromarray(SMOOTH[::-1])])
    webp, gif = io.BytesIO(), io.BytesIO()
    first.save(webp, "WEBP")
    first.save(gif, "GIF")
    wrong = {
        **{heic: "heic", b"": "not_photo", b"II*\0" + bytes(50): "not_photo"},
        **{webp.getvalue(): "not_photo", gif.getvalue(): "not_photo"},
        **{cmyk.getvalue(): "not_photo", frames.getvalue(): "animated"},
        **{b"\xff\xd8\xff\xe0": "undecodable", b"\x89PNG\r\n\x1a\n": "undecodable"},
        **{encoded(np.full((50, 50, 3), 7, np.uint8)): "blank", encoded(SMOOTH[:9, :9]): "blank"},
        **{encoded(SMOOTH[:, :, 0] * 0): "blank"},
    }
    assert {data: reason(data) for data in wrong} == wrong
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(Refused, match="cannot be read"):
            read_photo(path)


@pytest.mark.parametrize("kind", ["JPEG", "progressive", "PNG"])
def test_a_photograph_cut_anywhere_is_refused_or_whole(kind):
    noise = RNG.integers(0, 256, (32, 32, 3)).astype(np.uint8)
    how = {"quality": 90, "progressive": kind == "progressive"} if kind != "PNG" else {}
    data = encoded(noise, "PNG" if kind == "PNG" else "JPEG", **how)
    whole = read_photo(data).pixels
    passed = []
    for cut in range(len(data)):
        try:
            pixels = read_photo(data[:cut]).pixels
        except Refused as e:
            assert e.reason in ("truncated", "undecodable", "not_photo")  # noqa: PT017
            continue
        assert np.array_equal(pixels, whole)
        passed.append(cut)
    assert all(cut >= len(data) - 4 for cut in passed)  # PNG's very last checksum
    half = data[: len(data) // 2]
    assert reason(half) == "truncated"


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(["PNG", "JPEG"]),
    flips=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=8),
)
def test_damaged_photographs_never_raise_anything_else(kind, flips):
    data = bytearray(
        encoded(SMOOTH, kind, exif=exif(6, "2024:03:05 10:11:12"), icc_profile=p3_profile())
    )
    for where, value in flips:
        data[int(where * (len(data) - 1))] = value
    try:
        photo = read_photo(bytes(data))
    except Refused:
        return
    assert photo.pixels.dtype == np.uint8
    assert photo.pixels.ndim == 3


@pytest.mark.parametrize(
    ("shape", "box"),
    [
        ((120, 80), (0, 30, 5, 25)),  # 30 x 20 in the middle of 30 x 30
        ((80, 120), (5, 25, 0, 30)),
        ((60, 60), (0, 30, 0, 30)),
        ((30, 30), (0, 30, 0, 30)),
        ((15, 10), (0, 30, 5, 25)),  # made larger
        ((3000, 1), (0, 30, 14, 15)),
    ],
)
def test_the_whole_picture_is_in_the_middle_of_the_square(shape, box):
    out = to_square(np.full((*shape, 3), 200, np.uint8), 30)
    top, bottom, left, right = box
    wanted = np.zeros((30, 30, 3), np.uint8)
    wanted[top:bottom, left:right] = 200
    assert out.dtype == np.uint8
    assert np.array_equal(out, wanted)


def test_making_smaller_averages_areas():
    pixels = RNG.integers(0, 256, (120, 120, 3)).astype(np.uint8)
    means = pixels.reshape(30, 4, 30, 4, 3).mean((1, 3))  # (rows, 4, columns, 4, channels)
    assert np.abs(to_square(pixels, 30) - means).max() <= 0.5 + 1e-6
    assert np.array_equal(to_square(pixels, 120), pixels)
