"""Percentiles, mean and deviation of each picture, against numpy on the picture itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from training.preprocess import Preprocessor
from training.zscore import BRIGHTEST, DARKEST, standardised


def naive(image: np.ndarray) -> np.ndarray:
    """Clip to numpy's percentiles, then (x - mean) / std, all in float64."""
    low, high = np.percentile(image, [100 * DARKEST, 100 * BRIGHTEST])
    x = np.clip(image.astype(np.float64), low, high)
    return (x - x.mean()) / x.std()


def drawn(dtype, shape, seed=0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    top = np.iinfo(dtype).max
    return (top * rng.beta(2, 5, shape)).astype(dtype)


DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(1, 33, 33), (3, 64, 64), (2, 15, 40), (2, 1, 2)])
def test_it_is_numpys_on_every_picture_of_a_batch(device, dtype, shape):
    images = drawn(dtype, shape)
    images[0, 0, 0], images[-1, -1, -1] = np.iinfo(dtype).max, 0  # to be clipped
    got = standardised(torch.from_numpy(images).to(device))
    assert got.device.type == device
    got = got.cpu()
    assert (got.dtype, tuple(got.shape)) == (torch.float32, (shape[0], 1, *shape[1:]))
    for one, image in zip(got[:, 0].numpy(), images, strict=True):
        np.testing.assert_allclose(one, naive(image), atol=2e-5)


def test_both_ends_of_sixteen_bits_are_levels_like_the_rest():
    image = np.full((40, 40), 65535, np.uint16)
    image[:20] = 0
    got = standardised(torch.from_numpy(image[None]))[0, 0].numpy()
    np.testing.assert_allclose(got, np.where(image > 0, 1.0, -1.0), atol=1e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("level", [0, 7, 255])
def test_a_flat_picture_gives_zeros_beside_others_that_are_not(dtype, level):
    flat = np.full((64, 64), level, dtype)
    flat[0, :10] = 200  # ten of 4096 pixels: beyond the percentile
    images = np.stack([flat, drawn(dtype, (64, 64))])
    got = standardised(torch.from_numpy(images))
    assert torch.equal(got[0], torch.zeros_like(got[0]))
    assert abs(float(got[1].std()) - 1) < 1e-3


def test_a_picture_says_the_same_alone_and_in_a_batch_and_twice():
    images = torch.from_numpy(drawn(np.uint16, (5, 48, 48)))
    together = standardised(images)
    assert torch.equal(together, standardised(images))
    assert torch.equal(together, torch.cat([standardised(x[None]) for x in images]))


def test_brightness_and_contrast_of_the_detector_are_gone():
    """An affine change of levels that stay within the range changes nothing but rounding."""
    image = drawn(np.uint16, (64, 64)) // 4
    other = 3 * image + 5000
    a, b = (standardised(torch.from_numpy(x[None])) for x in (image, other))
    np.testing.assert_allclose(a.numpy(), b.numpy(), atol=1e-5)


@pytest.mark.parametrize(("pixels", "dtype"), [("cxr/2", np.uint8), ("cxr16/1", np.uint16)])
def test_the_preprocessor_does_it_for_pictures_of_its_own_kind_only(pixels, dtype):
    shape = (64, 64)
    pre = Preprocessor(size=32, mean=0.4, std=0.2, pixels=pixels, shape=shape, per_image=True)
    images = drawn(dtype, (2, *shape))
    got = pre(images)[:, 0].numpy()
    for one, image in zip(got, images, strict=True):
        small = np.floor(image.reshape(32, 2, 32, 2).mean((1, 3)) + 0.5)  # as cv2 rounds a half
        np.testing.assert_allclose(one, naive(small), atol=1e-3)
    other = np.uint16 if dtype == np.uint8 else np.uint8
    with pytest.raises(ValueError, match=f"these weights take {np.dtype(dtype).name}"):
        pre(images.astype(other))


def test_without_it_white_is_one_in_either_depth():
    for pixels, dtype in (("cxr/2", np.uint8), ("cxr16/1", np.uint16)):
        pre = Preprocessor(size=32, mean=0.5, std=0.25, pixels=pixels, shape=(32, 32))
        white = np.full((1, 32, 32), np.iinfo(dtype).max, dtype)
        assert torch.equal(pre(white), torch.full((1, 1, 32, 32), 2.0))
