from __future__ import annotations

import cv2
import numpy as np
import pytest

from data_sharding.copies import fingerprint
from data_sharding.copies.fingerprint import (
    CELLS,
    SIDE,
    WINDOWS,
    Whitener,
    describe,
    mirrored,
    moment,
    search,
    unit,
    vectors,
)


def scene(seed: int, size: int = 256) -> np.ndarray:
    """Something smooth with edges in it, uint8."""
    rng = np.random.default_rng(seed)
    out = np.zeros((size, size), np.float32)
    for wide in (3, 7, 15, 40):
        noise = rng.standard_normal((size // wide + 2,) * 2).astype(np.float32)
        out += wide**0.5 * cv2.resize(noise, (size, size), interpolation=cv2.INTER_CUBIC)
    out = (out - out.min()) / (out.max() - out.min())
    return (20 + 200 * out).astype(np.uint8)


@pytest.fixture(scope="module")
def small() -> np.ndarray:
    return np.stack([describe(scene(n)).small for n in range(40)])


def test_a_fingerprint_is_a_pure_function():
    image = scene(0)
    kept = image.copy()
    first, second = describe(image).small, describe(image).small
    assert (first.dtype, first.shape) == (np.int8, (SIDE, SIDE))
    assert np.array_equal(first, second)
    assert np.array_equal(image, kept)


@pytest.mark.parametrize("change", [lambda x: x / 2 + 60, lambda x: x * 1.1, lambda x: x - 15])
def test_the_grey_scale_does_not_matter(change):
    image = scene(1)
    other = np.rint(change(image.astype(np.float32))).clip(0, 255).astype(np.uint8)
    apart = np.abs(describe(image).small.astype(int) - describe(other).small)
    assert apart.mean() < 1
    assert np.abs(describe(scene(2)).small.astype(int) - describe(image).small).mean() > 10


def test_a_colour_picture_without_colour_is_its_grey_one():
    image = scene(3)
    three = np.repeat(image[..., None], 3, axis=2)
    assert np.array_equal(describe(three).small, describe(image).small)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((8, 8), np.float32),
        np.zeros((8, 8, 3), np.uint16),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros(8, np.uint8),
        np.zeros((0, 8), np.uint8),
    ],
)
def test_what_is_no_picture_is_refused(image):
    with pytest.raises(ValueError, match=r"picture"):
        describe(image)


@pytest.mark.parametrize("size", [1, 16, 33])
def test_small_and_blank_pictures_have_one_too(size):
    flat = describe(np.full((size, size), 77, np.uint8))
    assert not flat.small.any()
    assert not vectors(flat.small[None], windows=True).any()
    describe(np.random.default_rng(0).integers(0, 256, (size, size)).astype(np.uint8))


def test_the_mirrored_fingerprint_is_that_of_the_mirrored_picture(small):
    flipped = np.stack([describe(scene(n)[:, ::-1].copy()).small for n in range(3)])
    assert np.abs(mirrored(small[:3]).astype(int) - flipped).max() <= 1


def slow_vector(small: np.ndarray, window: tuple[float, float, float, float]) -> np.ndarray:
    """Pixel by pixel, from the words of the docstring."""
    left, right, top, bottom = window
    x = small.astype(float)
    edges = np.zeros((4, SIDE, SIDE))
    for r in range(SIDE):
        for c in range(SIDE):
            across = x[r, c + 1] - x[r, c - 1] if 0 < c < SIDE - 1 else 0
            down = x[r + 1, c] - x[r - 1, c] if 0 < r < SIDE - 1 else 0
            edges[:, r, c] = [max(v, 0) for v in (across, -across, down, -down)]
    wide, high = (1 - left - right) * SIDE / CELLS, (1 - top - bottom) * SIDE / CELLS
    at = np.arange(SIDE) + 0.5
    taper = np.sqrt(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(1, CELLS + 1) / (CELLS + 1)))
    out = np.zeros((4, CELLS, CELLS))
    for r in range(CELLS):
        for c in range(CELLS):
            y, x_ = top * SIDE + high * (r + 0.5), left * SIDE + wide * (c + 0.5)
            near = np.outer(
                np.exp(-0.5 * ((at - y) / (0.45 * high)) ** 2),
                np.exp(-0.5 * ((at - x_) / (0.45 * wide)) ** 2),
            )
            out[:, r, c] = (edges * near).sum(axis=(1, 2)) * taper[r] * taper[c]
    return out.ravel() / np.linalg.norm(out)


@pytest.mark.parametrize("n", [0, 2, 7, 16, 17, 32])
def test_vectors_are_pooled_edges(small, n):
    ours = vectors(small[:2], windows=True)
    assert ours.shape == (2, len(WINDOWS), 4 * CELLS * CELLS)
    np.testing.assert_allclose(ours[1, n], slow_vector(small[1], WINDOWS[n]), atol=1e-5)
    np.testing.assert_allclose(vectors(small[:2])[:, 0], ours[:, 0], atol=1e-6)


def test_windows_crop_and_uncrop():
    """A window of a picture is the whole of its crop, and the other way round."""
    image = scene(4, 512)
    left, right, top, bottom = WINDOWS[7]
    assert min(left, right, top, bottom) > 0
    edge = [round(512 * v) for v in (left, 1 - right, top, 1 - bottom)]
    part = describe(image[edge[2] : edge[3], edge[0] : edge[1]]).small[None]
    whole = describe(image).small[None]
    cosine = vectors(whole, windows=True)[0] @ vectors(part)[0, 0]
    assert cosine.argmax() == 7
    assert cosine[7] > 0.97 > 0.9 > cosine[0]
    outward = vectors(part, windows=True)[0] @ vectors(whole)[0, 0]
    assert outward.argmax() == 7 + 16


def test_whitening_takes_away_what_all_share(small):
    shared = small.astype(int) // 2 + describe(scene(99)).small // 2
    shared = shared.astype(np.int8)
    raw = vectors(shared)[:, 0]
    white = Whitener.of(moment(shared), len(shared)).whole(shared)
    apart = ~np.eye(len(shared), dtype=bool)
    assert (raw @ raw.T)[apart].mean() > 0.5
    assert abs((white @ white.T)[apart].mean()) < 0.2
    np.testing.assert_allclose((white * white).sum(axis=1), 1, atol=1e-5)


def test_two_pictures_are_enough_to_whiten(small):
    pair = np.stack([small[0], small[0]])
    white = Whitener.of(moment(pair), 2).whole(pair)
    assert white[0] @ white[1] == pytest.approx(1, abs=1e-5)
    assert np.isfinite(Whitener.of(moment(np.zeros((1, SIDE, SIDE), np.int8)), 1).matrix).all()


def test_search_is_the_slow_search(monkeypatch):
    monkeypatch.setattr(fingerprint, "BLOCK", 17)
    rng = np.random.default_rng(5)
    queries = unit(rng.standard_normal((6, 4, 32)).astype(np.float32))
    store = unit(rng.standard_normal((100, 32)).astype(np.float32)).astype(np.float16)
    barred = rng.random((6, 100)) < 0.3
    found = search(queries, store, lambda rows: barred[:, rows], 5)
    cosine = np.einsum("qhd,nd->qhn", queries, store.astype(np.float32))
    for q in range(6):
        best = cosine[q].max(axis=0)
        allowed = [n for n in np.argsort(-best) if not barred[q, n]][:5]
        filled = np.isfinite(found.score[q])
        assert found.row[q][filled].tolist() == allowed
        np.testing.assert_allclose(found.score[q][filled], best[allowed], atol=1e-6)
        assert found.hypothesis[q][filled].tolist() == [cosine[q, :, n].argmax() for n in allowed]
    nothing = search(queries, store, lambda r: np.ones((6, r.stop - r.start), bool), 5)
    assert not np.isfinite(nothing.score).any()
