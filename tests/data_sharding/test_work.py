"""PNG files and tables of other people: read, or refused with a reason."""

from __future__ import annotations

from contextlib import suppress

import cv2
import numpy as np
import pytest

from data_sharding.ledger import Ledger, Refused
from data_sharding.sources import CLINICAL_COLUMNS, DXA_COLUMNS, Site, read_clinical, read_dxa
from data_sharding.work import Job, Scan, make, read_png, scan

GREY = np.random.default_rng(0).integers(0, 256, (64, 64)).astype(np.uint8)


def png(path, image):
    path.write_bytes(cv2.imencode(".png", image)[1].tobytes())
    return path


def reason_of(path) -> str:
    with pytest.raises(Refused) as caught:
        read_png(path)
    return caught.value.reason


def test_png_of_8_and_16_bits(tmp_path):
    assert np.array_equal(read_png(png(tmp_path / "a", GREY))[0], GREY)
    deep = GREY.astype(np.uint16) * 257
    assert np.array_equal(read_png(png(tmp_path / "b", deep))[0], deep)


def test_colour_and_transparency(tmp_path):
    rgba = np.dstack([GREY, GREY, GREY, np.full_like(GREY, 255)])
    pixels, applied = read_png(png(tmp_path / "a", rgba))
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
        (b"\xff\xd8\xff\xe0 a jpeg", "undecodable"),
        (whole[:200], "truncated"),
        (bytes(bomb), "too_large"),
        (bytes(deep), "too_large"),
        (whole[:60] + bytes(len(whole) - 76) + whole[-16:], "undecodable"),
    ):
        (tmp_path / "b").write_bytes(data)
        assert reason_of(tmp_path / "b") == reason
    assert reason_of(tmp_path / "none") == "unreadable"


def test_the_first_readable_file_is_used(tmp_path):
    black, good = png(tmp_path / "a", np.zeros_like(GREY)), png(tmp_path / "b", GREY)
    done = make(Job((str(tmp_path / "none"), str(black), str(good)), "png", 32, ""))
    assert done.used == 2
    assert [e.reason for e in done.failed] == ["unreadable", "blank"]
    assert done.pixels is not None
    assert (done.pixels.shape, done.pixels.dtype) == ((32, 32), np.uint8)
    assert np.array_equal(done.shown, GREY.astype(np.uint16) * 257)  # as a person sees it
    nothing = make(Job((str(black),), "png", 32, ""))
    assert (nothing.used, nothing.pixels) == (None, None)


def test_shown_is_small_and_made_before_truncation(tmp_path, dicom):
    wide = np.tile(np.arange(4096, dtype=np.uint16), (300, 1))
    path = dicom(tmp_path / "a", wide, WindowCenter=2048, WindowWidth=4096)
    done = make(Job((str(path),), "dicom", 32, ""))
    assert done.shown is not None
    assert (done.shown.shape, done.shown.dtype) == ((38, 512), np.uint16)
    assert (done.shown[0, 0], done.shown[0, 256]) == (0, round(2048 / 4095 * 65535))
    assert done.pixels is not None
    assert set(done.pixels[:, 0]) == {0}  # what lies outside of the centre's range is clipped
    assert set(done.pixels[:, 7]) == {0}
    assert "truncated to the central 50%" in done.applied


def test_a_blank_radiograph_is_never_passed_on(tmp_path, dicom):
    """Neither flat pixels, nor a window that shows nothing of them."""
    texture = np.random.default_rng(0).integers(0, 4096, (64, 64)).astype(np.uint16)
    flat = dicom(tmp_path / "a", np.full((64, 64), 7, np.uint16))
    beside = dicom(tmp_path / "b", texture, WindowCenter=60000, WindowWidth=100)
    padded = dicom(tmp_path / "c", np.full((64, 64), 7, np.uint16), PixelPaddingValue=7)
    for path in (flat, beside, padded):
        done = make(Job((str(path),), "dicom", 32, ""))
        assert (done.used, done.pixels, done.shown) == (None, None, None)
        assert [e.reason for e in done.failed] == ["blank"]


def test_things_that_are_not_files(tmp_path):
    found = scan(Scan(str(tmp_path), ""))
    assert isinstance(found, Refused)
    assert found.reason == "unreadable"


@pytest.mark.parametrize("read", [read_dxa, read_clinical])
def test_damaged_tables_lose_no_row(tmp_path, read):
    columns = DXA_COLUMNS if read is read_dxa else CLINICAL_COLUMNS
    row = {"patient_id": "A{n}", "exam_date": "2020-01-0{n}", "sex": "F"}
    lines = [",".join(row.get(c, "-1.5").format(n=n) for c in columns) for n in range(1, 9)]
    good = "\n".join([",".join(columns), *lines, ""]).encode()
    rng = np.random.default_rng(0)
    for _ in range(60):
        damaged = bytearray(good)
        for at in rng.integers(len(",".join(columns)) + 1, len(good), 4):
            damaged[at] = rng.integers(256)
        (tmp_path / "t.csv").write_bytes(damaged)
        ledger = Ledger()
        with suppress(ValueError):  # of the table as a whole, such as an open quote
            read(tmp_path / "t.csv", Site(), ledger)
            box = ledger.flow[0]
            assert box.n_in == box.n_out + sum(box.excluded.values())
