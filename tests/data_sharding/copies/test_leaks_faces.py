"""Copies among aligned faces, which are alike in their frame: black corners make nobody a copy.

Strangers are two real people and bent versions of one of them, which are likelier to be taken for
copies than strangers are: bent by less, they would be.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import cv2
import matplotlib
import numpy as np
import pytest
from PIL import Image

from data_sharding.copies.alike import View, compare
from data_sharding.copies.masked import unmasked
from data_sharding.copies.near import COPY
from data_sharding.faces.face import make_face
from data_sharding.leaks import Side, find
from tests.data_sharding.face_study import portrait

PEOPLE = 14


def compressed(rgb: np.ndarray) -> np.ndarray:
    data = cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 50])[1]
    return np.ascontiguousarray(cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1])


def turned(rgb: np.ndarray) -> np.ndarray:
    matrix = cv2.getRotationMatrix2D((rgb.shape[1] / 2, rgb.shape[0] / 2), 6, 1)
    return cv2.warpAffine(rgb, matrix, rgb.shape[1::-1])


EDITS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "compressed": compressed,
    "smaller": lambda x: cv2.resize(x, None, fx=0.7, fy=0.7, interpolation=cv2.INTER_AREA),
    "mirrored": lambda x: np.ascontiguousarray(x[:, ::-1]),
    "cut": lambda x: np.ascontiguousarray(x[30:-20, 20:-60]),
    "darker": lambda x: np.rint(x * 0.8).astype(np.uint8),
    "grey": lambda x: np.repeat(cv2.cvtColor(x, cv2.COLOR_RGB2GRAY)[..., None], 3, 2),
    "turned": turned,
}


def hopper() -> np.ndarray:
    path = Path(matplotlib.get_data_path()) / "sample_data/grace_hopper.jpg"
    return np.asarray(Image.open(path).convert("RGB"))


@pytest.fixture(scope="module")
def people() -> list[np.ndarray]:
    """Photographs of strangers."""
    return [*(portrait(n) for n in range(PEOPLE - 1)), hopper()]


def aligned(photo: np.ndarray) -> np.ndarray:
    return make_face(photo, 256).picture


def side(name: str, split: str, pictures: dict[str, np.ndarray]) -> Side:
    keys = list(pictures)
    hashes = [hashlib.sha256(pictures[k].tobytes()).hexdigest() for k in keys]
    patients = [k.split("/")[0] for k in keys]
    return Side(
        name, name, [split] * len(keys), keys, patients, hashes, lambda i: pictures[keys[i]]
    )


def test_copies_are_found_and_strangers_are_not(people):
    known = {f"p{n}": aligned(photo) for n, photo in enumerate(people)}
    edited = {
        f"q{n}/{edit}": aligned(EDITS[edit](people[n]))
        for n in (0, 5, PEOPLE - 1)
        for edit in EDITS
    }
    found = find([side("here", "train", known), side("there", "external", edited)])
    pairs = {(leak.a.split("/")[2], leak.b.split("/", 2)[2]) for leak in found}
    wrong = {(a, b) for a, b in pairs if a[1:] != b.split("/")[0][1:]}
    assert not wrong, "strangers taken for copies"
    missed = set(edited) - {b for _, b in pairs}
    assert not missed


def test_what_is_around_leaves_no_edge_and_what_is_within_stays(people):
    face = aligned(people[0])
    level, within = unmasked(face)
    assert within is not None
    grey = cv2.cvtColor(face, cv2.COLOR_RGB2GRAY)
    assert np.array_equal(level[within], grey[within])
    outside = face.max(axis=2) == 0
    assert not within[outside].any()
    assert 0.9 < within.mean() / (~outside).mean() < 1
    # steeper than anywhere in the plain picture's ellipse edge: none of that is left
    steep = np.abs(cv2.Laplacian(cv2.GaussianBlur(grey, (0, 0), 2), cv2.CV_32F))
    now = np.abs(cv2.Laplacian(cv2.GaussianBlur(level, (0, 0), 2), cv2.CV_32F))
    edge = cv2.morphologyEx(outside.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((5, 5))) > 0
    edge[[0, 1, -2, -1]] = edge[:, [0, 1, -2, -1]] = False
    assert np.median(now[edge]) < np.median(steep[edge]) / 4


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (40, 300), (300, 300)])
def test_any_colour_picture_can_be_unmasked(shape):
    black = np.zeros((*shape, 3), np.uint8)
    level, within = unmasked(black)
    assert (level.max(), within) == (0, None)
    white = np.full_like(black, 255)
    level, within = unmasked(white)
    assert (level.min(), within) == (255, None)
    dot = black.copy()
    dot[0, 0] = 9  # nothing is left of it within its rim
    assert unmasked(dot)[0].shape == tuple(min(side, 256) for side in shape)


def test_a_black_eye_is_within():
    picture = np.full((64, 64, 3), 100, np.uint8)
    picture[:, :10] = 0
    picture[30:34, 40:44] = 0
    level, within = unmasked(picture)
    assert within is not None
    assert within[31, 41]
    assert level[31, 41] == 0
    assert level[31, 2] == 100


def test_strangers_are_far_from_the_limit_and_copies_are_too(people):
    faces = [View.of(aligned(photo)) for photo in people]
    scores = [
        found.score if (found := compare(a, b)) else -1.0
        for n, a in enumerate(faces)
        for b in faces[:n]
    ]
    assert len(scores) == PEOPLE * (PEOPLE - 1) / 2
    assert max(scores) < COPY - 0.1
    again = [
        compare(a, View.of(aligned(compressed(p)))) for a, p in zip(faces, people, strict=True)
    ]
    assert min(found.score if found else -1.0 for found in again) > COPY + 0.05


def test_one_patient_s_photographs_are_no_leak_within_a_split(people):
    twice = {
        f"p{n}/{edit}": aligned(EDITS[edit](people[n]))
        for n in (1, 2)
        for edit in ("darker", "cut")
    }
    assert find([side("here", "train", twice)]) == ()
    # nor are two patients' in one split, but in two they are
    other = {f"r{n}": aligned(people[n]) for n in (1, 2)}
    assert find([side("here", "train", twice | other)]) == ()
    found = find([side("here", "train", twice), side("there", "test", other)])
    assert {leak.kind for leak in found} == {"near"}
    assert len(found) == 4


def test_equal_photographs_of_two_patients_are_named_across_splits(people):
    face = {"p": aligned(people[3])}
    found = find([side("here", "train", face), side("there", "test", {"q": face["p"]})])
    assert [leak.kind for leak in found] == ["identical"]
