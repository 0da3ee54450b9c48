from __future__ import annotations

import hashlib

import numpy as np
import pytest

from training.augmentation import KINDS, augment, parameters_of, view_of
from training.augmentation.random import generator


@pytest.fixture
def image() -> np.ndarray:
    y, x = np.mgrid[:96, :128]
    return ((x * 2 + y) % 256).astype(np.uint8)


def test_the_stream_is_numpys_philox_of_the_names_sha256():
    """A picture made today is made again next year: the stream is fixed by two standards."""
    key = int.from_bytes(hashlib.sha256(b"augment/3/5/site/k").digest()[:16], "little")
    again = np.random.Generator(np.random.Philox(key=key))
    drawn = generator(3, 5, "site/k")
    np.testing.assert_array_equal(drawn.random(8), again.random(8))
    assert generator(3, 5, "site/k").random() == 0.6359987180702015


def test_pure_in_seed_draw_and_key(image):
    first = augment(image, "strong", 3, 5, "k")
    np.testing.assert_array_equal(first, augment(image, "strong", 3, 5, "k"))
    draws = {
        augment(image, "strong", seed, draw, f"k{key}").tobytes()
        for seed in range(2)
        for draw in range(4)
        for key in range(6)
    }
    assert len(draws) == 48


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(96, 128), (64, 64, 3), (9, 7), (1, 1), (2, 300)])
def test_shape_and_type_are_kept_and_the_input_is_not_touched(kind, shape):
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    before = image.copy()
    image.flags.writeable = False  # as pictures from a mapped shard are
    for draw in range(40):
        out = augment(image, kind, 0, draw, "k")
        assert out.shape == shape
        assert out.dtype == np.uint8
        assert out.flags.c_contiguous
    np.testing.assert_array_equal(image, before)


def test_weak_is_the_flip_that_strong_begins_with_and_view_of_names_it(image):
    views = set()
    for draw in range(40):
        weak = augment(image, "weak", 0, draw, "k")
        view = view_of(0, draw, "k")
        np.testing.assert_array_equal(weak, (image, image[:, ::-1])[view])
        for kind in KINDS.keys() - {"none"}:
            assert parameters_of(kind, image.shape, 0, draw, "k").mirror == bool(view)
        views.add(view)
    assert views == {0, 1}


def test_none_is_the_picture_itself(image):
    assert augment(image, "none", 0, 0, "k") is image


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "wrong", [np.zeros((8, 8)), np.zeros((8, 8), np.int32), np.zeros(8, np.uint8)]
)
def test_what_is_no_picture_of_ours_is_refused(kind, wrong):
    with pytest.raises(ValueError, match="takes uint8"):
        augment(wrong, kind, 0, 0, "k")


def test_an_unknown_kind_is_named_with_those_there_are(image):
    with pytest.raises(ValueError, match=r"'stong'.*weak, strong, face"):
        augment(image, "stong", 0, 0, "k")
