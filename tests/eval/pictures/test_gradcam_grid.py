"""Grad-CAM of models that cut a picture into blocks: each block's weight, put together again."""

import numpy as np
import pytest
import torch
from torch import nn

from eval.pictures.gradcam import gradcam
from tests.eval.pictures.slow import bilinear, by_finite_differences, scaled
from training.models import build, cam_layer
from training.recipes import recipe


class Attending(nn.Module):
    """Blocks of a picture through one small convolution each, mixed by attention, many classes."""

    def __init__(self, grid=(2, 3), side=8, classes=4):
        super().__init__()
        self.grid, self.side = grid, side
        self.features = nn.Conv2d(1, 3, 3, stride=2, padding=1)
        self.query, self.key = nn.Linear(3, 3), nn.Linear(3, 3)
        self.head = nn.Linear(3, classes)
        self.seen = nn.Identity()

    def forward(self, x):
        rows, columns = self.grid
        # x: (B, 1, rows * s, columns * s) -> (B * rows * columns, 1, s, s)
        blocks = x.unflatten(2, (rows, self.side)).unflatten(4, (columns, self.side))
        blocks = blocks.permute(0, 2, 4, 1, 3, 5).flatten(0, 2)
        maps = self.seen(torch.tanh(self.features(blocks)))
        tokens = maps.mean(dim=(2, 3)).unflatten(0, (len(x), rows * columns))
        attention = torch.softmax(self.query(tokens) @ self.key(tokens).transpose(1, 2), -1)
        return self.head((attention @ tokens).mean(dim=1))


@pytest.fixture
def attending():
    torch.manual_seed(5)
    return Attending().eval().double()


@pytest.mark.parametrize("target", range(4))
def test_a_grid_of_blocks_through_attention_is_what_finite_differences_say(attending, target):
    images = torch.randn(2, 1, 16, 24, dtype=torch.float64)
    cam = gradcam(attending, attending.seen, images, target, grid=(2, 3))
    slow = by_finite_differences(attending, attending.seen, images, target, (2, 3))
    assert cam.maps.shape == (2, 16, 24)
    assert np.abs(cam.maps.numpy() - slow).max() < 1e-4


@pytest.mark.parametrize("target", [0, 3])
def test_blocks_put_together_by_the_model_are_the_same(attending, target):
    """The same network, its maps seen as one picture: weights stay those of each block."""
    images = torch.randn(2, 1, 16, 24, dtype=torch.float64)
    expected = gradcam(attending, attending.seen, images, target, (2, 3)).maps

    class Together(nn.Module):
        def forward(self, blocks):  # (12, 3, 4, 4) -> (2, 3, 8, 12), seen, and back
            whole = blocks.unflatten(0, (2, 2, 3)).permute(0, 3, 1, 4, 2, 5)
            seen = self.seen(whole.flatten(4, 5).flatten(2, 3))
            back = seen.unflatten(2, (2, 4)).unflatten(4, (3, 4)).permute(0, 2, 4, 1, 3, 5)
            return back.flatten(0, 2)

        def __init__(self):
            super().__init__()
            self.seen = nn.Identity()

    together = attending.seen = Together()
    found = gradcam(attending, together.seen, images, target, (2, 3)).maps
    assert torch.allclose(found, expected)
    with pytest.raises(ValueError, match="do not divide"):
        gradcam(attending, together.seen, images, target, (3, 5))


def test_the_grid_model_of_training_is_explained_block_by_block():
    """Its own layer, its own grid; a bump of one channel in one tile gives that tile's weight."""
    torch.manual_seed(9)
    model = build(recipe("li2026:smoke").model, load=False)
    model = model.eval().double()
    n = model.grid.grid
    images = torch.randn(1, 1, 32 * n, 32 * n, dtype=torch.float64)
    layer = cam_layer(model)
    kept = []
    handle = layer.register_forward_hook(lambda _m, _i, out: kept.append(out.detach()))
    model(images)
    handle.remove()
    side = kept[0].shape[2] // n
    raw = torch.zeros(kept[0].shape[2:], dtype=torch.float64)
    features = model.pooled(kept[0]).requires_grad_()
    # the head sees a tile's mean only: dy/dA_c is the token's gradient over the tile's size
    logit = model.head(model.encode(features)[:, 0])[0, 1]
    (token,) = torch.autograd.grad(logit, features)
    for k in range(n * n):
        rows = slice(k // n * side, (k // n + 1) * side)
        columns = slice(k % n * side, (k % n + 1) * side)
        raw[rows, columns] = torch.einsum("c,chw->hw", token[0, k], kept[0][0, :, rows, columns])
    expected = bilinear(scaled(raw.relu().numpy()), *images.shape[2:])
    cam = gradcam(model, layer, images, 1, grid=(n, n))
    assert cam.positive[0]
    assert np.abs(cam.maps[0].numpy() - expected).max() < 0.01


def test_blocks_are_scaled_together_and_a_blank_one_stays_dark(attending):
    """One bright block: scaled block by block, every block would reach 1."""
    with torch.no_grad():
        attending.features.bias.zero_()
    images = torch.zeros(1, 1, 16, 24, dtype=torch.float64)
    images[..., :8, 16:] = torch.randn(8, 8, dtype=torch.float64).abs()
    bright = [
        cam.maps[0]
        for t in range(4)
        if (cam := gradcam(attending, attending.seen, images, t, (2, 3))).positive[0]
    ]
    assert bright
    for m in bright:
        # bilinear resizing carries half a pixel of 4x4 over the border
        assert m[9:].max() < 1e-6
        assert m[:, :15].max() < 1e-6
        assert m[:8, 16:].max() > 0.5


def test_a_grid_that_does_not_fit_is_refused(attending):
    images = torch.randn(2, 1, 16, 24, dtype=torch.float64)
    with pytest.raises(ValueError, match=r"12 maps for 2 images in a grid of 1x1"):
        gradcam(attending, attending.seen, images, 1)


def test_each_image_may_have_a_class_of_its_own(attending):
    images = torch.randn(4, 1, 16, 24, dtype=torch.float64)
    together = gradcam(attending, attending.seen, images, [3, 0, 2, 1], (2, 3)).maps
    for i, target in enumerate([3, 0, 2, 1]):
        alone = gradcam(attending, attending.seen, images[i : i + 1], target, (2, 3)).maps
        assert torch.allclose(together[i : i + 1], alone)
