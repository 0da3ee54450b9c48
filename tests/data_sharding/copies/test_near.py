"""Near copies are found by any crew, and whoever of it dies."""

from __future__ import annotations

import multiprocessing
import os
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from data_sharding.copies import near
from data_sharding.copies.near import Pictures, pairs
from data_sharding.leaks import Side, find
from data_sharding.packing.pool import Here, Processes


@dataclass(frozen=True)
class Made:
    """Pictures that any process can make; picture n + 40 is a copy of n < 12, n odd is flipped.

    The first process other than the test's that asks for picture `deadly` dies of it.
    """

    deadly: int = -1
    note: Path = Path()

    def image(self, i: int) -> np.ndarray:
        if i == self.deadly and multiprocessing.parent_process() and not self.note.exists():
            self.note.touch()
            os._exit(9)
        noise = np.random.default_rng(i % 40).normal(size=(128, 128)).astype(np.float32)
        smooth = cv2.GaussianBlur(noise, (0, 0), 2.5) + 2 * cv2.GaussianBlur(noise, (0, 0), 8)
        grey = cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)  # pyright: ignore
        if i < 40:
            return grey
        grey = cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, 60])[1]
        copy = np.asarray(cv2.imdecode(grey, cv2.IMREAD_GRAYSCALE), np.uint8)
        return np.ascontiguousarray(copy[:, ::-1]) if i % 2 else copy


def numbered(image) -> Pictures:
    """52 pictures, the last 12 in a cell of their own, of a patient each."""
    n = np.arange(52)
    return Pictures((image,), n * 0, n, (n >= 40).astype(np.int64), n, n)


def search(image, crew, folder: Path) -> list[near.Pair]:
    folder.mkdir()
    apart = ~np.eye(2, dtype=bool)
    rows = np.arange(52)
    found = pairs(numbered(image), rows[40:], rows[:40], apart, crew, folder)
    return sorted(found, key=lambda x: (x.a, x.b))


def test_planted_copies_and_nothing_else(tmp_path):
    found = search(Made().image, Here(), tmp_path / "a")
    assert [(x.a, x.b) for x in found] == [(n + 40, n) for n in range(12)]
    assert [x.how for x in found] == ["copied", "flipped"] * 6
    assert not near._desks, "pictures are kept after the search"


def test_processes_change_nothing_even_when_they_die(tmp_path):
    want = search(Made().image, Here(), tmp_path / "a")
    with closing(Processes(2)) as crew:
        assert search(Made().image, crew, tmp_path / "b") == want
        deadly = Made(45, tmp_path / "died")
        assert search(deadly.image, crew, tmp_path / "c") == want
    assert deadly.note.exists()


def test_rows_a_job_change_no_pair(tmp_path, monkeypatch):
    want = search(Made().image, Here(), tmp_path / "a")
    monkeypatch.setattr(near, "ROWS", 7)
    monkeypatch.setattr(near, "QUERIES", 5)
    assert search(Made().image, Here(), tmp_path / "b") == want


def test_what_is_barred_is_no_pair(tmp_path):
    pictures = numbered(Made().image)
    patient, pixels = pictures.patient.copy(), pictures.pixels.copy()
    patient[40], pixels[41] = 0, 1  # their originals' patient, and pixels
    same = replace(pictures, patient=patient, pixels=pixels)
    rows, apart = np.arange(52), ~np.eye(2, dtype=bool)
    got = {x.a for x in pairs(same, rows[40:], rows[:40], apart, Here(), tmp_path)}
    assert got == set(range(42, 52))


def test_a_search_leaves_no_files_and_says_how_far_it_is(tmp_path):
    keys = [f"{n:02d}" for n in range(52)]
    splits = ["train"] * 40 + ["test"] * 12
    side = Side("a", "k", splits, keys, keys, keys, Made().image)
    said: list[str] = []
    found = find([side], scratch=tmp_path, echo=said.append)
    assert [(x.a, x.b) for x in found] == [
        (f"a/test/{n + 40}", f"a/train/{n:02d}") for n in range(12)
    ]
    assert list(tmp_path.iterdir()) == []


def test_an_unreadable_picture_stops_the_search(tmp_path):
    def image(i: int) -> np.ndarray:
        if i == 3:
            raise ValueError("3: damaged")
        return Made().image(i)

    with pytest.raises(ValueError, match="3: damaged"):
        search(image, Here(), tmp_path / "a")
    assert not near._desks
