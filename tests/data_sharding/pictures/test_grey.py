"""Grey PNG and JPEG files: read as another library reads them, or refused with a reason."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from data_sharding.ledger import Refused
from data_sharding.pictures.grey import read_grey

GREY = cv2.GaussianBlur(
    np.random.default_rng(0).integers(0, 256, (48, 64)).astype(np.uint8), (5, 5), 2
)


def jpeg(path, image, **options):
    out = io.BytesIO()
    Image.fromarray(image).save(out, "JPEG", quality=95, **options)
    path.write_bytes(out.getvalue())
    return path


def png(path, image):
    path.write_bytes(cv2.imencode(".png", image)[1].tobytes())
    return path


def reason_of(path) -> str:
    with pytest.raises(Refused) as caught:
        read_grey(path)
    return caught.value.reason


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}])
def test_grey_as_pillow_reads_it(tmp_path, options):
    path = jpeg(tmp_path / "a", GREY, **options)
    pixels, applied = read_grey(path)
    with Image.open(path) as image:
        assert np.array_equal(pixels, np.asarray(image))
    assert (pixels.dtype, pixels.shape, applied) == (np.uint8, (48, 64), ("decoded JPEG",))


def test_colour_is_refused_and_grey_saved_as_colour_is_not(tmp_path):
    pixels, applied = read_grey(jpeg(tmp_path / "a", np.dstack([GREY] * 3)))
    assert pixels.shape == (48, 64)
    assert "equal colour channels as grey" in applied
    coloured = np.dstack([GREY, GREY, 255 - GREY])
    assert reason_of(jpeg(tmp_path / "b", coloured)) == "colour"
    four = Image.fromarray(np.dstack([GREY] * 4), "CMYK")
    four.save(tmp_path / "c", "JPEG")
    assert reason_of(tmp_path / "c") == "colour"


def test_an_orientation_tag_turns_nothing(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    plain = read_grey(jpeg(tmp_path / "a", GREY))[0]
    assert np.array_equal(read_grey(jpeg(tmp_path / "b", GREY, exif=exif))[0], plain)


def test_files_that_are_none(tmp_path):
    whole = jpeg(tmp_path / "a", GREY).read_bytes()
    frame = whole.index(b"\xff\xc0")
    bomb = bytearray(whole)
    bomb[frame + 5 : frame + 9] = b"\xff\xff" * 2  # 65535 x 65535 are declared
    empty = bytearray(whole)
    empty[frame + 5 : frame + 9] = bytes(4)
    deep = bytearray(whole)
    deep[frame + 4] = 12
    for data, reason in (
        (b"", "undecodable"),
        (b"version https://git-lfs.github.com/spec/v1\n", "undecodable"),
        (whole[:-2], "truncated"),
        (whole[: len(whole) // 2], "truncated"),
        (whole[:40], "truncated"),
        (bytes(bomb), "too_large"),
        (bytes(empty), "no_pixels"),
        (bytes(deep), "undecodable"),
        (whole[:20] + b"\0\0" + whole[22:], "undecodable"),
    ):
        (tmp_path / "b").write_bytes(data)
        assert reason_of(tmp_path / "b") == reason, data[:30]
    assert reason_of(tmp_path / "none") == "unreadable"


def test_three_hundred_damaged_files_are_read_or_refused(tmp_path, capfd):
    whole = jpeg(tmp_path / "a", GREY).read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        data = bytearray(whole)
        for at in rng.integers(len(data), size=3):
            data[at] = rng.integers(256)
        (tmp_path / "b").write_bytes(data[: rng.integers(len(data) // 2, 2 * len(data))])
        try:
            pixels, _ = read_grey(tmp_path / "b")
            assert pixels.dtype == np.uint8
        except Refused:
            refused += 1
    assert 100 < refused < 300
    capfd.readouterr()  # libjpeg's own words


def test_png_of_8_and_16_bits(tmp_path):
    assert np.array_equal(read_grey(png(tmp_path / "a", GREY))[0], GREY)
    deep = GREY.astype(np.uint16) * 257
    assert np.array_equal(read_grey(png(tmp_path / "b", deep))[0], deep)


def test_colour_and_transparency(tmp_path):
    rgba = np.dstack([GREY, GREY, GREY, np.full_like(GREY, 255)])
    pixels, applied = read_grey(png(tmp_path / "a", rgba))
    assert np.array_equal(pixels, GREY)
    assert "equal colour channels as grey" in applied
    rgba[0, 0, 3] = 0
    assert reason_of(png(tmp_path / "b", rgba)) == "colour"
    rgba[0, 0] = 1, 2, 3, 255
    assert reason_of(png(tmp_path / "c", rgba[..., :3].copy())) == "colour"


def test_png_that_are_none(tmp_path):
    whole = png(tmp_path / "a", GREY).read_bytes()
    bomb = bytearray(whole)
    bomb[16:24] = b"\x00\x01\x00\x00" * 2  # 65536 x 65536 are declared
    deep = bytearray(whole)
    deep[16:26] = b"\x00\x00\x1f\x00" * 2 + b"\x10\x06"  # 7936 x 7936 of 4 times 16 bits
    for data, reason in (
        (b"", "undecodable"),
        (b"\x89PNG\r\n\x1a\n", "undecodable"),
        (whole[:200], "truncated"),
        (bytes(bomb), "too_large"),
        (bytes(deep), "too_large"),
        (whole[:60] + bytes(len(whole) - 76) + whole[-16:], "undecodable"),
    ):
        (tmp_path / "b").write_bytes(data)
        assert reason_of(tmp_path / "b") == reason
    assert reason_of(tmp_path / "none") == "unreadable"
