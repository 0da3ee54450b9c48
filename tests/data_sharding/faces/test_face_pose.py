"""Yaw, pitch and roll: exact for the model itself, near for real faces turned by known angles."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from data_sharding.faces.canonical import canonical
from data_sharding.faces.pose import pose_of
from tests.data_sharding.faces.people import astronaut, hopper, points_of, turned


@pytest.mark.parametrize("person", [astronaut, hopper])
@pytest.mark.parametrize("degrees", [-25, 18])
def test_roll_is_how_far_the_photograph_is_turned(person, degrees):
    photo = person()
    height, width = photo.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), -degrees, 0.9)  # clockwise
    before = pose_of(points_of(photo))
    after = pose_of(points_of(cv2.warpAffine(photo, matrix, (width, height))))
    assert after.roll - before.roll == pytest.approx(degrees, abs=2)
    assert after.yaw == pytest.approx(before.yaw, abs=3)
    assert after.pitch == pytest.approx(before.pitch, abs=4)


@pytest.mark.parametrize("person", [astronaut, hopper])
def test_a_mirror_turns_yaw_and_roll_around(person):
    photo = person()
    one = pose_of(points_of(photo))
    other = pose_of(points_of(np.ascontiguousarray(photo[:, ::-1])))
    assert other.yaw == pytest.approx(-one.yaw, abs=3)
    assert other.roll == pytest.approx(-one.roll, abs=2)
    assert other.pitch == pytest.approx(one.pitch, abs=4)


@pytest.mark.parametrize("person", [astronaut, hopper])
def test_a_head_turned_in_depth_is_seen_to_be(person):
    photo = person()
    points = points_of(photo)
    straight = pose_of(points)
    for yaw in (-30, -15, 15, 30):
        seen = pose_of(points_of(turned(photo, points, yaw)))
        assert 0.6 < (seen.yaw - straight.yaw) / yaw < 1.15  # it reads less than there is
        assert abs(seen.pitch - straight.pitch) < 5
    for pitch in (-20, 20):
        seen = pose_of(points_of(turned(photo, points, 0, pitch)))
        assert 0.8 < (seen.pitch - straight.pitch) / pitch < 1.3
        assert abs(seen.yaw - straight.yaw) < 4


@pytest.mark.parametrize("angles", [(0, 0, 0), (30, 0, 0), (0, 20, 0), (0, 0, -40), (25, -15, 60)])
def test_the_model_turned_is_measured_exactly(angles):
    yaw, pitch, roll = angles
    # scipy's own rotations: about z, then the new y, then the new x; chin up and clockwise are < 0
    turn = Rotation.from_euler("ZYX", [-roll, yaw, -pitch], degrees=True)
    points = (turn.apply(canonical().copy()) * 31 + (200, -300, 50)) * (1, -1, -1)
    assert pose_of(points) == pytest.approx(angles, abs=1e-6)


def test_signs_are_those_of_the_words():
    nose, chin, crown = canonical()[[4, 152, 10]]
    right_of_picture = Rotation.from_euler("y", 20, degrees=True)
    assert right_of_picture.apply(nose)[0] > 0
    seen = right_of_picture.apply(canonical().copy()) * (1, -1, -1)
    assert pose_of(seen).yaw == pytest.approx(20)
    up = Rotation.from_euler("x", -20, degrees=True)
    assert up.apply(chin)[2] > chin[2]  # the chin comes forward, the crown goes back
    assert up.apply(crown)[2] < crown[2]
    assert pose_of(up.apply(canonical().copy()) * (1, -1, -1)).pitch == pytest.approx(20)
