"""Grey JPEG files: read as another library reads them, or refused with a reason."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from data_sharding.jpeg import read_jpeg
from data_sharding.ledger import Refused

GREY = cv2.GaussianBlur(
    np.random.default_rng(0).integers(0, 256, (48, 64)).astype(np.uint8), (5, 5), 2
)


def jpeg(path, image, **options):
    out = io.BytesIO()
    Image.fromarray(image).save(out, "JPEG", quality=95, **options)
    path.write_bytes(out.getvalue())
    return path


def reason_of(path) -> str:
    with pytest.raises(Refused) as caught:
        read_jpeg(path)
    return caught.value.reason


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}])
def test_grey_as_pillow_reads_it(tmp_path, options):
    path = jpeg(tmp_path / "a", GREY, **options)
    pixels, applied = read_jpeg(path)
    with Image.open(path) as image:
        assert np.array_equal(pixels, np.asarray(image))
    assert (pixels.dtype, pixels.shape, applied) == (np.uint8, (48, 64), ("decoded JPEG",))


def test_colour_is_refused_and_grey_saved_as_colour_is_not(tmp_path):
    pixels, applied = read_jpeg(jpeg(tmp_path / "a", np.dstack([GREY] * 3)))
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
    plain = read_jpeg(jpeg(tmp_path / "a", GREY))[0]
    assert np.array_equal(read_jpeg(jpeg(tmp_path / "b", GREY, exif=exif))[0], plain)


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
        (b"\x89PNG\r\n\x1a\n", "undecodable"),
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
            pixels, _ = read_jpeg(tmp_path / "b")
            assert pixels.dtype == np.uint8
        except Refused:
            refused += 1
    assert 100 < refused < 300
    capfd.readouterr()  # libjpeg's own words
