"""A photograph to a face: shapes, what is black, and the same bytes in any order and process."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from data_sharding.faces.face import CROP_FILL, Face, make_face
from data_sharding.faces.oval import FILL, mask
from data_sharding.faces.regions import region_map
from data_sharding.faces.sampling import Frame, Levels, sample
from data_sharding.ledger import Refused
from data_sharding.pictures.photos import read_photo
from tests.data_sharding.faces.people import astronaut, hopper, points_of, zoomed

ROOT = Path(__file__).resolve().parents[3]


def digest(photo: np.ndarray) -> str:
    try:
        face = make_face(photo)
    except Refused as e:
        return str(e)
    parts = (face.picture, face.crop, face.landmarks, np.array(face.pose))
    return hashlib.sha256(b"".join(p.tobytes() for p in parts)).hexdigest()


def photos() -> list[np.ndarray]:
    """Faces that follow each other at other places, sizes and turns, and none in between."""
    a, b = astronaut(), hopper()
    matrix = cv2.getRotationMatrix2D((256, 300), 15, 0.9)
    return [
        a,
        b,
        np.zeros_like(a),
        np.ascontiguousarray(a[:, ::-1]),
        cv2.warpAffine(b, matrix, (512, 600)),
        np.hstack([b, b]),
        zoomed(a, 1.5),
        np.roll(b, 40, axis=1),
    ]


@pytest.mark.parametrize("person", [astronaut, hopper])
@pytest.mark.parametrize("size", [512, 224])
def test_what_a_face_is(person, size):
    face = make_face(person(), size)
    assert isinstance(face, Face)
    assert face.picture.shape == (size, size, 3)
    assert face.picture.dtype == np.uint8
    assert face.crop.shape == (160, 160, 3)
    assert face.crop.dtype == np.uint8
    assert face.landmarks.shape == (468, 3)
    assert face.landmarks.dtype == np.float32
    assert all(isinstance(angle, float) for angle in face.pose)
    inside = mask(face.landmarks, size)
    assert not face.picture[~inside].any()
    assert (face.picture[inside].max(axis=1) > 0).mean() > 0.99
    assert 0.4 < inside.mean() < 0.8
    assert "black outside" in face.applied[-1]


def test_landmarks_are_where_the_mesh_finds_them_in_the_picture():
    face = make_face(hopper())
    again = points_of(face.picture)
    eyes = np.linalg.norm(face.landmarks[33, :2] - face.landmarks[263, :2])
    off = np.linalg.norm(again[:, :2] - face.landmarks[:, :2], axis=1) / eyes
    assert np.median(off) < 0.02
    depth = np.corrcoef(again[:, 2], face.landmarks[:, 2])[0, 1]
    assert depth > 0.95
    assert np.ptp(again[:, 2]) == pytest.approx(np.ptp(face.landmarks[:, 2]), rel=0.2)
    assert set(np.unique(region_map(face.landmarks))) == {0, 1, 2, 3, 4, 5}


def test_the_crop_is_the_same_view_wider_and_not_masked():
    face = make_face(hopper())
    wider = Frame(256, 256, 512 * FILL / CROP_FILL, 0)
    masked = sample(Levels(face.picture), wider, 160)
    inside = cv2.erode(masked.max(axis=2), np.ones((13, 13), np.uint8)) > 0
    one, other = (cv2.GaussianBlur(p, (0, 0), 2.0).astype(int) for p in (face.crop, masked))
    assert np.abs(one - other)[inside].mean() < 2
    assert (face.crop[:8].max(axis=2) > 0).mean() > 0.9


def test_a_face_does_not_know_what_came_before_it():
    forwards = [digest(p) for p in photos()]
    assert len(set(forwards)) == len(forwards)
    assert [digest(p) for p in photos()[::-1]] == forwards[::-1]
    assert [digest(photos()[4]) for _ in range(3)] == [forwards[4]] * 3


def test_threads_of_opencv_decide_no_byte():
    before = cv2.getNumThreads()
    try:
        found = []
        for threads in (1, 4):
            cv2.setNumThreads(threads)
            found.append([digest(p) for p in photos()[:2]])
    finally:
        cv2.setNumThreads(before)
    assert found[0] == found[1]


def test_another_process_makes_the_same_bytes_and_prints_nothing():
    code = (
        "from tests.data_sharding.faces.test_make_face import digest, photos\n"
        "print(*map(digest, photos()[::-1]), sep='\\n')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert done.stdout.splitlines() == [digest(p) for p in photos()[::-1]]
    assert done.stderr == ""


def test_a_forked_child_is_told_so():
    make_face(hopper())  # so that this process has its graphs
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        said = "nothing"
        try:
            make_face(hopper())
        except RuntimeError as e:
            said = str(e)
        finally:
            os.write(write, said.encode())
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        assert "forkserver" in pipe.read()
    os.waitpid(child, 0)


def test_a_photograph_turned_by_its_camera_is_the_same_face():
    straight = io.BytesIO()
    Image.fromarray(hopper()).save(straight, "PNG")
    exif = Image.Exif()
    exif[0x0112] = 6
    lying = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(np.rot90(hopper()))).save(lying, "PNG", exif=exif)
    one, other = (make_face(read_photo(x.getvalue()).pixels) for x in (straight, lying))
    assert np.array_equal(one.picture, other.picture)
    assert np.array_equal(one.landmarks, other.landmarks)


def test_twelve_megapixels_are_the_same_face():
    photo = hopper()
    big = cv2.resize(photo, None, fx=6, fy=6, interpolation=cv2.INTER_LINEAR)
    assert big.shape[0] * big.shape[1] > 11e6
    one, other = make_face(photo), make_face(big)
    off = np.linalg.norm((one.landmarks - other.landmarks)[:, :2], axis=1)
    assert off.mean() < 3
    assert np.abs(np.array(one.pose) - other.pose).max() < 2


@pytest.mark.parametrize("count", [2, 10])
def test_several_people(count):
    row = np.hstack([hopper()[60:460, 20:400]] * 2)
    crowd = np.vstack([row] * (count // 2)) if count > 2 else row
    with pytest.raises(Refused) as caught:
        make_face(np.ascontiguousarray(crowd))
    assert caught.value.reason in (
        ("several_faces",) if count == 2 else ("several_faces", "no_face")
    )


def test_somebody_far_behind_is_no_second_face():
    photo = np.hstack([zoomed(hopper(), 2.4), np.zeros((1440, 512, 3), np.uint8)])
    photo[:512, -512:] = astronaut()
    assert (
        np.abs(make_face(photo).landmarks - make_face(zoomed(hopper(), 2.4)).landmarks).max() < 20
    )


@pytest.mark.parametrize("person", [astronaut, hopper])
def test_nobody_upside_down_is_a_face(person):
    """EXIF lost on the way is the usual reason; the detector and the mesh take them for upright."""
    rgb = person()
    height, width = rgb.shape[:2]
    upright = 0
    for turn in (-20, -10, 0, 10, 20):
        for zoom in (0.7, 0.85, 1.0):
            matrix = cv2.getRotationMatrix2D((width / 2, height / 2), turn, zoom)
            photo = np.asarray(cv2.warpAffine(rgb, matrix, (width, height)), np.uint8)
            with pytest.raises(Refused):
                make_face(np.ascontiguousarray(photo[::-1, ::-1]))
            upright += not digest(photo).startswith(("turned_face", "no_face"))
    assert upright == 15
