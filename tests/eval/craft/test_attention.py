"""Maps, shares of regions, and pictures made of them."""

import base64

import cv2
import numpy as np
import pytest
import torch

from eval.craft.attention import attention, mean_maps, shares
from eval.craft.cut import cut
from eval.craft.drawing import MAP, SKIN, crop_strip, map_picture
from eval.craft.implicit import concept_maps
from eval.craft.subjects import SIDE, outline, resized
from tests.eval.craft.conftest import subjects
from tests.eval.craft.planted import Small


def halves():
    """Region 1 left, 2 right of it, outside the rest: 16, 24 and 24 of 64 columns."""
    made = np.zeros((3, 64, 64), np.uint8)
    made[:, :, :16], made[:, :, 16:40] = 1, 2
    return made


def test_attention_is_the_weighted_sum_of_amounts():
    u = np.random.default_rng(0).random((2, 7, 7, 3))
    weights = np.array([0.5, np.nan, 0.25])
    found = attention(u, weights, side=7)
    np.testing.assert_allclose(found, 0.5 * u[..., 0] + 0.25 * u[..., 2])
    assert attention(u, weights).shape == (2, SIDE, SIDE)
    np.testing.assert_allclose(attention(np.ones((1, 7, 7, 3)), weights), 0.75)


def test_a_flat_map_has_in_each_region_its_area():
    found = shares(np.ones((3, 7, 7)), halves(), ("left", "right"))
    for s in found:
        assert s.share == pytest.approx(s.area)
        assert s.area == pytest.approx(0.4 if s.region == "left" else 0.6)


def test_first_comes_what_has_most_for_its_size():
    maps = np.zeros((3, 8, 8))
    maps[:, :, :2], maps[:, :, 2:5] = 1, 0.9
    first, second = shares(maps, halves(), ("left", "right"))
    assert (first.region, second.region) == ("left", "right")
    assert first.share < second.share
    assert first.share + second.share == pytest.approx(1)
    nothing = shares(np.zeros((3, 8, 8)), halves(), ("left", "right"))
    assert [s.share for s in nothing] == [0, 0]


def test_mean_maps_are_of_people_not_of_pictures():
    model, who = Small(0).eval(), subjects(None, n=7).some(np.array([0, 1, 2, 3, 6]))
    bank = np.random.default_rng(5).random((3, 24))
    last, earlier = cut(model), cut(model, 1)
    maps = concept_maps(last, earlier, bank, who.images).numpy()
    people = np.array(who.patients)
    expected = np.mean([maps[people == p].mean(axis=0) for p in sorted(set(people))], axis=0)
    found = mean_maps(last, earlier, bank, who, 2)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert len(set(people)) == 3


def test_the_average_outline_is_what_most_have():
    regions = halves()
    regions[2] = 0
    np.testing.assert_array_equal(outline(regions), halves()[0])
    small = resized(halves(), (8, 8))
    np.testing.assert_array_equal(small[0, 0], [1, 1, 2, 2, 2, 0, 0, 0])


def pixels(address):
    head, data = address.split(",")
    assert head == "data:image/jpeg;base64"
    return cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)


def test_without_a_face_there_is_its_outline_only():
    warm = np.zeros((48, 48), np.float32)
    warm[24:, :8] = 1
    drawn = pixels(map_picture(warm, halves()[0], None)).astype(int)
    assert drawn.shape == (MAP, MAP, 3)
    assert abs(drawn[20, 20] - SKIN).max() < 12, "cold, inside"
    assert drawn[20, 190].min() > 245, "outside"
    assert np.ptp(drawn[180, 15]) > 40, "warm"
    assert map_picture(warm, halves()[0], None) == map_picture(warm * 7, halves()[0], None)
    face = np.full((96, 96, 3), (200, 40, 40), np.uint8)
    seen = pixels(map_picture(warm, halves()[0], face)).astype(int)
    assert abs(seen[20, 20] - (40, 40, 200)).max() < 12


def test_crops_lie_side_by_side():
    tiles = [np.full((9, 9, 3), v, np.uint8) for v in (0, 100, 200)]
    drawn = pixels(crop_strip(tiles)).astype(int)
    assert drawn.shape[1] == 3 * drawn.shape[0] + 2 * 4
    for k, v in enumerate((0, 100, 200)):
        assert abs(drawn[48, k * 100 + 48] - v).max() < 6


def test_maps_of_concepts_that_nobody_holds_are_zero():
    model, who = Small(0).eval(), subjects(None, n=2)
    bank = np.zeros((2, 24))
    bank[0, 1:], bank[1, 0] = 1, -1.0  # the second is held by nothing that is positive
    maps = concept_maps(cut(model), cut(model, 1), bank, who.images)
    assert torch.equal(maps[:, 1], torch.zeros_like(maps[:, 1]))
    assert maps[:, 0].any()
