"""The detector and the mesh on two real faces, moved, turned, and at every size."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from data_sharding.faces.finder import find
from data_sharding.faces.graphs import mediapipe, quiet
from data_sharding.faces.mesh import mesh
from data_sharding.faces.sampling import Levels
from tests.data_sharding.faces.people import astronaut, height_of, hopper, points_of, zoomed

PEOPLE = {"astronaut": astronaut, "hopper": hopper}


@pytest.fixture(params=PEOPLE)
def photo(request) -> np.ndarray:
    return PEOPLE[request.param]()


def eyes_apart(points: np.ndarray) -> float:
    return float(np.linalg.norm(points[33, :2] - points[263, :2]))


def test_one_face_is_found_where_it_is(photo):
    (box,) = find(Levels(photo))
    points = points_of(photo)
    assert np.abs(points[:, :2].mean(0) - (box.x, box.y)).max() < 0.15 * box.side
    for eye, corners in ((box.right_eye, (33, 133)), (box.left_eye, (362, 263))):
        assert np.linalg.norm(points[list(corners), :2].mean(0) - eye) < 0.1 * box.side
    assert box.right_eye[0] < box.left_eye[0]  # the person's right is left in a picture


def test_points_are_those_of_mediapipe_s_own_solution(photo):
    with quiet():
        mediapipe()
        from mediapipe.python.solutions.face_mesh import FaceMesh

        with FaceMesh(static_image_mode=True) as solution:
            (found,) = solution.process(photo).multi_face_landmarks
    theirs = np.array([(p.x, p.y) for p in found.landmark]) * photo.shape[1::-1]
    points = points_of(photo)
    off = np.linalg.norm(points[:, :2] - theirs, axis=1) / eyes_apart(points)
    # they draw one frame around what another detector sees; frames alone move points by 1%
    assert off.mean() < 0.02
    assert off.max() < 0.07


def test_points_move_with_the_photograph(photo):
    height, width = photo.shape[:2]
    points = points_of(photo)
    for degrees, scale in ((12, 1.1), (-20, 0.8), (4, 1.3)):
        matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, scale)
        moved = points_of(cv2.warpAffine(photo, matrix, (width, height)))
        wanted = (points[:, :2] - 0.5) @ matrix[:, :2].T + matrix[:, 2] + 0.5
        off = np.linalg.norm(moved[:, :2] - wanted, axis=1) / eyes_apart(wanted)
        assert off.mean() < 0.02


def test_points_hardly_depend_on_megapixels(photo):
    points = points_of(photo)
    for by in (0.75, 3.0):
        off = points_of(zoomed(photo, by))[:, :2] / by - points[:, :2]
        assert np.linalg.norm(off, axis=1).mean() < 0.015 * eyes_apart(points)


@pytest.mark.parametrize("share", [0.08, 0.2, 0.5, 0.8, 1.0, 1.1])
def test_faces_from_a_twelfth_of_the_side_to_more_than_all_of_it(photo, share):
    points = points_of(photo)
    x, y = points[:, :2].mean(0)
    scale = share * 768 / height_of(points)
    matrix = np.array([[scale, 0, 384 - scale * x], [0, scale, 384 - scale * y]])
    far = cv2.warpAffine(photo, matrix, (768, 768), borderMode=cv2.BORDER_REPLICATE)
    boxes = find(Levels(far))
    assert len(boxes) == 1
    assert abs(boxes[0].x - 384) < 0.15 * boxes[0].side
    assert 0.7 < boxes[0].side / (share * 768) < 1.4


def test_the_largest_face_comes_first():
    big, small = hopper(), astronaut()
    pair = np.zeros((600, 512 + small.shape[1], 3), np.uint8)
    pair[:, :512], pair[: small.shape[0], 512:] = big, small
    first, second = find(Levels(pair))
    assert first.side > second.side
    assert first.x < 512 < second.x


@pytest.mark.parametrize("shape", [(300, 200), (1, 1), (1, 3000), (16, 16)])
def test_nothing_is_found_in_nothing(shape):
    noise = np.random.default_rng(0).integers(0, 256, (*shape, 3)).astype(np.uint8)
    for picture in (noise, np.zeros_like(noise), np.full_like(noise, 255)):
        assert find(Levels(picture)) == []


def test_a_frame_without_a_face_has_no_mesh():
    (box,) = find(Levels(hopper()))
    assert mesh(Levels(np.full((600, 512, 3), 127, np.uint8)), box) is None
