"""Phantom photographs, as the pipeline for photographs sees them."""

from __future__ import annotations

import io
from dataclasses import replace

import cv2
import numpy as np
import pytest
from PIL import Image

from data_sharding.faces.face import make_face
from data_sharding.faces.regions import REGIONS, region_map
from data_sharding.ledger import Refused
from data_sharding.phantom.faces.camera import MAKER, jpeg
from data_sharding.phantom.faces.law import Law
from data_sharding.phantom.faces.rendering import photograph
from data_sharding.phantom.faces.visage import FATES, Sitting, Visage, sitting_of, visage_of
from data_sharding.phantom.patients import referred_for
from data_sharding.phantom.stories import Story, tell
from data_sharding.phantom.vendors import ASAN
from data_sharding.pictures.photos import read_header, read_photo

SITE = replace(ASAN, mix=replace(ASAN.mix, referred=referred_for(ASAN.mix, 0.33)))
LAW = Law.parse("nasolabial=1")
PEOPLE = 56


def person(k: int, seed: int = 11) -> tuple[Story, Visage, Sitting]:
    """A patient, their face, and a photograph that is good whatever its fate was to be."""
    story = tell(seed, SITE, k)
    sitting = sitting_of(seed, story, 0)
    if sitting.fate != "good":
        sitting = replace(sitting, fate="good", yaw=float(np.clip(sitting.yaw, -13, 13)))
    return story, visage_of(seed, story), sitting


def taken(k: int, **changed) -> tuple[np.ndarray, Sitting]:
    story, visage, sitting = person(k)
    sitting = replace(sitting, **changed)
    signs = LAW.signs(story.latent, np.array(visage.noise))
    return photograph(visage, signs, sitting), sitting


@pytest.fixture(scope="module")
def faces() -> tuple[list, np.ndarray]:
    """(faces found, latents) of PEOPLE good photographs."""
    found = []
    for k in range(PEOPLE):
        pixels, sitting = taken(k)
        found.append((make_face(read_photo(jpeg(pixels, sitting)).pixels), person(k)[0].latent))
    return [f for f, _ in found], np.array([t for _, t in found])


def test_good_photographs_are_found_and_taken(faces):
    assert len(faces[0]) == PEOPLE  # none was refused: make_face raises


def test_poses_are_those_of_the_sittings(faces):
    seen = np.array([tuple(face.pose) for face in faces[0]])
    said = np.array([(s.yaw, s.pitch, s.roll) for s in (person(k)[2] for k in range(PEOPLE))])
    for k, least in enumerate((0.9, 0.4, 0.9)):
        assert np.corrcoef(seen[:, k], said[:, k])[0, 1] > least


def measures(faces: list, region: str) -> np.ndarray:
    """A region's brightness and colour in 6 x 6 cells of its box, and nothing around it."""
    rows = []
    for face in faces:
        inside = region_map(face.landmarks) == 1 + REGIONS.index(region)
        y, x = np.nonzero(inside)
        box = slice(y.min(), y.max() + 1), slice(x.min(), x.max() + 1)
        grey = cv2.cvtColor(face.picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
        grey = np.log1p(grey) - np.log1p(grey[inside]).mean()
        cells = cv2.resize((grey * inside)[box], (12, 8), interpolation=cv2.INTER_AREA)
        rows.append(cells.ravel())
    values = np.array(rows)
    return (values - values.mean(0)) / (values.std(0) + 1e-3)


def probe(x: np.ndarray, y: np.ndarray) -> float:
    """Correlation of y with ridge regression's prediction for whom it has not seen."""
    gram = x @ x.T / x.shape[1]
    hat = gram @ np.linalg.inv(gram + 0.5 * np.eye(len(x)))
    hat += 1 / len(x)
    residual = (y - hat @ y) / (1 - np.diag(hat))  # leave one out, in closed form
    return float(np.corrcoef(y - residual, y)[0, 1])


def test_the_latent_is_read_in_the_region_that_carries_it(faces):
    told = {name: probe(measures(faces[0], name), faces[1]) for name in REGIONS}
    assert told["nasolabial"] > 0.6
    assert all(told["nasolabial"] > told[name] + 0.15 for name in REGIONS if name != "nasolabial")


def test_corners_of_the_mouth_sink_with_the_latent(faces):
    """A known measurement: their height between nose and chin."""
    sunk = []
    for face in faces[0]:
        y = face.landmarks[:, 1]
        sunk.append((y[[61, 291]].mean() - y[2]) / (y[152] - y[2]))
    assert np.corrcoef(sunk, faces[1])[0, 1] < -0.4


@pytest.mark.parametrize("fate", [name for name, _ in FATES])
def test_what_is_no_use_is_refused_for_what_was_done_to_it(fate):
    seen = []
    for k in range(4):
        yaw = {"yaw": 46.0 * (-1) ** k} if fate == "turned_face" else {}
        pixels, sitting = taken(k, fate=fate, **yaw)
        try:
            make_face(read_photo(jpeg(pixels, sitting)).pixels)
        except Refused as e:
            seen.append(e.reason)
    assert len(seen) >= 3  # rules are lenient
    assert seen.count(fate) >= 3


def test_the_file_is_upright_to_whoever_honours_exif():
    pixels, sitting = taken(0)
    for turn in (1, 3, 6, 8):
        data = jpeg(pixels, replace(sitting, orientation=turn, quality=95))
        read = read_photo(data).pixels
        assert read.shape == pixels.shape
        assert np.abs(read.astype(int) - pixels).mean() < 4


def test_exif_has_a_day_and_things_that_must_not_leave():
    pixels, sitting = taken(0, exif=True)
    data = jpeg(pixels, sitting)
    assert MAKER.encode() in data
    with Image.open(io.BytesIO(data)) as image:
        exif = image.getexif()
        assert exif.get_ifd(0x8825)[1] == "N"  # a place
    assert MAKER.encode() not in jpeg(pixels, replace(sitting, exif=False))


def test_the_day_is_read_from_exif(tmp_path):
    pixels, sitting = taken(0, exif=True)
    (tmp_path / "a.jpg").write_bytes(jpeg(pixels, sitting))
    assert read_header(tmp_path / "a.jpg").taken == sitting.day


def test_the_same_draws_make_the_same_bytes():
    one, two = (jpeg(*taken(2)) for _ in range(2))
    assert one == two
    assert one != jpeg(*taken(3))
