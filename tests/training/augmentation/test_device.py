"""In batch on a device: the CPU's pictures. On CUDA where there is one."""

from __future__ import annotations

import pickle
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from training.augmentation import KINDS, Parameters, augment, parameters_of
from training.augmentation.device import augment_batch
from training.augmentation.random import generator
from training.augmentation.sets import strong

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


def pictures(n: int, shape: tuple[int, ...], dtype: type = np.uint8) -> np.ndarray:
    """Smooth and noisy ones, all grey levels."""
    rng = np.random.default_rng(0)
    out = []
    for i in range(n):
        noise = rng.normal(120, 40, shape).astype(np.float32)
        out.append(cv2.GaussianBlur(noise, (0, 0), 2) * 3 - 240 if i % 2 else noise)
    return (np.stack(out).clip(0, 255) * (1 if dtype == np.uint8 else 257)).astype(dtype)


def apart(device: str, images: np.ndarray, drawn: list[Parameters]) -> np.ndarray:
    """Grey levels between the device's pictures and the CPU's."""
    made = augment_batch(torch.from_numpy(images).to(device), drawn)
    assert made.cpu().numpy().dtype == images.dtype
    assert made.device.type == device
    want = [p.apply(x) for p, x in zip(drawn, images, strict=True)]
    return np.abs(made.cpu().numpy().astype(int) - want)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(256, 256), (97, 130), (60, 64, 3)])
def test_the_pictures_are_the_cpus_within_rounding(device, kind, shape):
    images = pictures(24, shape)
    drawn = [parameters_of(kind, shape, 0, i, "k") for i in range(24)]
    off = apart(device, images, drawn)
    # Measured on a CPU: .002 and 1 (CLAHE makes more of a level than others do), at worst.
    assert off.mean() < 0.005
    assert np.quantile(off, 0.999) <= 1


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("kind", ["strong", "face_upset", "li"])
@pytest.mark.parametrize("shape", [(256, 256), (97, 130), (60, 64, 3)])
def test_without_the_warp_they_agree_to_the_bit(device, kind, shape):
    images = pictures(60, shape)
    drawn = [parameters_of(kind, shape, 0, i, "k") for i in range(60)]
    straight = [replace(p, nodes=None) for p in drawn]
    assert apart(device, images, straight).max() == 0


DEEP = [kind for kind in KINDS if not kind.startswith("face")]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("kind", DEEP)
def test_sixteen_bits_are_the_cpus_too(device, kind):
    """To the bit without the warp, but for the mean of a line, of which one is rounded away."""
    images = pictures(60, (97, 130), np.uint16)
    drawn = [parameters_of(kind, (97, 130), 0, i, "k") for i in range(60)]
    off = apart(device, images, drawn)
    # A level in 65,535: the warp's coordinates differ by less than what 8 bits could show.
    assert off.mean() < 1
    assert np.quantile(off, 0.999) <= 16
    straight = [replace(p, nodes=None) for p in drawn]
    assert apart(device, images, straight).max() <= 1


@pytest.mark.parametrize("kind", DEEP)
def test_sixteen_bits_show_what_eight_do(kind):
    """The same draw of the same picture, and it keeps what 8 bits round away."""
    shallow = pictures(30, (96, 96))
    for i, image in enumerate(shallow):
        deep = augment(image.astype(np.uint16) * 257, kind, 0, i, "k")
        assert deep.dtype == np.uint16
        off = np.abs(deep / 257 - augment(image, kind, 0, i, "k"))
        # a filter, a warp and a table, each rounded in 8 bits, and steps made steeper
        assert np.quantile(off, 0.99) <= 2


def test_photographs_transforms_are_refused_for_sixteen_bits():
    images = pictures(12, (64, 64), np.uint16)
    drawn = [parameters_of("face", (64, 64), 0, i, "k") for i in range(12)]
    with pytest.raises(ValueError, match="8 bits"):
        augment_batch(torch.from_numpy(images), drawn)
    with pytest.raises(ValueError, match="8 bits"):
        [augment(x, "face", 0, i, "k") for i, x in enumerate(images)]
    with pytest.raises(ValueError, match="augmentation takes"):
        augment(np.zeros((8, 8, 3), np.uint16), "li", 0, 0, "k")


@pytest.mark.parametrize("device", DEVICES)
def test_the_same_batch_gives_the_same_bits_alone_or_with_others(device):
    images = torch.from_numpy(pictures(16, (128, 128))).to(device)
    drawn = [parameters_of("strong", (128, 128), 0, i, "k") for i in range(16)]
    before = images.clone()
    first = augment_batch(images, drawn)
    assert torch.equal(first, augment_batch(images, drawn))
    assert torch.equal(images, before), "the batch given was written to"
    halves = [augment_batch(images[h], drawn[h]) for h in (slice(0, 5), slice(5, 16))]
    assert torch.equal(first, torch.cat(halves))
    with torch.autocast(device, torch.bfloat16):
        assert torch.equal(first, augment_batch(images, drawn))


def test_parameters_travel_from_loader_workers_and_apply_as_augment_does():
    image = pictures(1, (64, 64))[0]
    for i in range(20):
        sent = pickle.loads(pickle.dumps(parameters_of("strong", (64, 64), 0, i, "k")))
        np.testing.assert_array_equal(sent.apply(image), augment(image, "strong", 0, i, "k"))
        again = strong(generator(0, i, "k"), 64, 64)
        np.testing.assert_array_equal(again.apply(image), sent.apply(image))


def test_what_cannot_be_is_refused_with_the_shapes():
    drawn = [parameters_of("weak", (8, 8), 0, 0, "k")]
    for wrong in (
        *(torch.zeros(1, 8, 8), torch.zeros(2, 8, 8).byte(), torch.zeros(1, 8).byte()),
        torch.zeros(1, 8, 8, 3).to(torch.uint16),
    ):
        with pytest.raises(ValueError, match=r"uint8 \[B, H, W\]"):
            augment_batch(wrong, drawn)
    assert augment_batch(torch.zeros(0, 8, 8, dtype=torch.uint8), []).shape == (0, 8, 8)
