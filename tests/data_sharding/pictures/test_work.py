"""PNG files and tables of other people: read, or refused with a reason."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pytest

from data_sharding.ledger import Ledger, Refused
from data_sharding.pictures.work import Job, Made, Scan, make, scan
from data_sharding.sources.paired import (
    CLINICAL_COLUMNS,
    DXA_COLUMNS,
    Site,
    read_clinical,
    read_dxa,
)

GREY = np.random.default_rng(0).integers(0, 256, (64, 64)).astype(np.uint8)


def png(path, image):
    path.write_bytes(cv2.imencode(".png", image)[1].tobytes())
    return path


def test_a_picture_or_a_reason(tmp_path):
    black, good = png(tmp_path / "a", np.zeros_like(GREY)), png(tmp_path / "b", GREY)
    made = [make(Job("grey", str(p), 32)) for p in (tmp_path / "none", black, good)]
    assert [m.reason for m in made[:2] if isinstance(m, Refused)] == ["unreadable", "blank"]
    assert isinstance(made[2], Made)
    assert (made[2].pixels.shape, made[2].pixels.dtype) == ((32, 32), np.uint8)
    assert made[2].applied[-2:] == ("truncated to the central 50%", "area-averaged to 32")


def test_a_photograph_is_fitted_whole(tmp_path):
    rgb = np.random.default_rng(0).integers(0, 256, (40, 80, 3)).astype(np.uint8)
    made = make(Job("photo", str(png(tmp_path / "a", rgb)), 32, pixels="photo/1"))
    assert isinstance(made, Made)
    assert made.pixels.shape == (32, 32, 3)
    assert not made.pixels[:8].any()  # the bar above a wide picture
    assert "photo/1" in made.applied[-1]


def test_what_does_not_look_like_a_chest_is_refused_if_asked(tmp_path):
    path = str(png(tmp_path / "a", GREY))
    assert isinstance(make(Job("grey", path, 64)), Made)
    refused = make(Job("grey", path, 64, screen=True))
    assert isinstance(refused, Refused)
    assert refused.evidence


def test_real_chests_pass_the_screen(nih_folder):
    paths = sorted((nih_folder / "images").iterdir())[:24]
    made = [make(Job("grey", str(p), 512, screen=True)) for p in paths]
    assert all(isinstance(m, Made) for m in made)


def test_truncation_follows_the_centre(tmp_path, dicom):
    wide = np.tile(np.arange(4096, dtype=np.uint16), (300, 1))
    path = dicom(tmp_path / "a", wide, WindowCenter=2048, WindowWidth=4096)
    made = make(Job("dicom", str(path), 32))
    assert isinstance(made, Made)
    assert set(made.pixels[:, 0]) == {0}  # what lies outside of the centre's range is clipped
    assert set(made.pixels[:, 7]) == {0}
    assert "truncated to the central 50%" in made.applied


def test_a_blank_radiograph_is_never_passed_on(tmp_path, dicom):
    """Neither flat pixels, nor a window that shows nothing of them."""
    texture = np.random.default_rng(0).integers(0, 4096, (64, 64)).astype(np.uint16)
    flat = dicom(tmp_path / "a", np.full((64, 64), 7, np.uint16))
    beside = dicom(tmp_path / "b", texture, WindowCenter=60000, WindowWidth=100)
    padded = dicom(tmp_path / "c", np.full((64, 64), 7, np.uint16), PixelPaddingValue=7)
    for path in (flat, beside, padded):
        refused = make(Job("dicom", str(path), 32))
        assert isinstance(refused, Refused)
        assert refused.reason == "blank"


def test_things_that_are_not_files(tmp_path):
    found = scan(Scan("dicom", str(tmp_path)))
    assert isinstance(found, Refused)
    assert found.reason == "unreadable"


@pytest.mark.parametrize("kind", ["dicom", "photo", "grey"])
def test_a_file_that_may_not_be_looked_at(tmp_path, kind, monkeypatch):
    """A folder without the right to enter it; its path, which may name a person, is not quoted."""
    closed = tmp_path / "KIM"
    closed.mkdir()
    path = png(closed / "a", GREY)

    def denied(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    closed.chmod(0)
    try:
        if os.access(path, os.R_OK):  # root enters all the same
            for name in ("is_file", "stat", "open", "read_bytes"):
                monkeypatch.setattr(Path, name, denied)
        found = [make(Job(kind, str(path), 32))]
        found += [scan(Scan(kind, str(path)))] if kind != "grey" else []
    finally:
        monkeypatch.undo()
        closed.chmod(0o700)
    for refused in found:
        assert isinstance(refused, Refused)
        assert (refused.reason, refused.evidence) == ("unreadable", "PermissionError")


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
