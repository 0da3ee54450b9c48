from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.training.models.test_grid_transformer import SMALL, network
from training.models.grid_maps import grid_maps

N, CELLS = 3, 2  # 64-pixel tiles have maps of 2 x 2


@pytest.fixture
def model():
    return network(SMALL.model_copy(update={"tile": 64})).requires_grad_(False)


def slowly(model, image: torch.Tensor, target: int) -> tuple[np.ndarray, np.ndarray]:
    """One picture: hooks on the network as it runs, then tile by tile and channel by channel."""
    kept = {}
    hooks = [
        model.tiles.register_forward_hook(lambda m, i, o: kept.update(maps=o)),
        model.drop.register_forward_hook(lambda m, i, o: kept.update(tokens=o)),
    ]
    logit = model(image[None].requires_grad_())[0, target]
    for hook in hooks:
        hook.remove()
    of_maps, of_tokens = torch.autograd.grad(logit, [kept["maps"], kept["tokens"]])
    maps, of_maps = kept["maps"].detach().numpy(), of_maps.numpy()
    entered = (kept["tokens"] - model.positions).detach().numpy()[0]
    whole, tiles = np.zeros((N * CELLS, N * CELLS)), np.zeros((N, N))
    for k in range(N * N):
        r, c = divmod(k, N)
        cell = np.zeros((CELLS, CELLS))
        for channel in range(maps.shape[1]):
            cell += of_maps[k, channel].mean() * maps[k, channel]
        whole[r * CELLS : (r + 1) * CELLS, c * CELLS : (c + 1) * CELLS] = cell
        tiles[r, c] = np.sqrt(((of_tokens.numpy()[0, 1 + k] * entered[1 + k]) ** 2).sum())
    return whole, tiles


def logit_of(target: int):
    return lambda logits: logits[:, target]


@pytest.mark.parametrize("target", [0, 1])
def test_maps_are_those_of_each_tile_by_hand(model, target):
    images = torch.randn(2, 1, 100, 67)
    found = grid_maps(model, images, logit_of(target))
    assert found.cells.shape == (2, N * CELLS, N * CELLS)
    for i in range(2):
        cells, tiles = slowly(model, images[i], target)
        np.testing.assert_allclose(found.cells[i].numpy(), cells, rtol=1e-3, atol=1e-6)
        np.testing.assert_allclose(found.tiles[i].numpy(), tiles, rtol=1e-3, atol=1e-6)
    assert (found.tiles > 0).all(), "the gradient reaches every tile"
    assert (found.cells < 0).any(), "not yet cut off at 0"


def test_a_tiles_cells_sum_to_its_share_of_the_logit(model):
    """To first order: what scaling the tile's numbers by 1 + e changes, divided by e."""
    model = model.double()
    image, e = torch.randn(1, 1, 96, 96).double(), 1e-6
    found = grid_maps(model, image, logit_of(1))
    shares = found.cells[0].reshape(N, CELLS, N, CELLS).sum((1, 3))
    features = model.pooled(model.feature_map(image))
    for k in range(N * N):
        moved = []
        for sign in (1, -1):
            changed = features.clone()
            changed[0, k] *= 1 + sign * e
            moved.append(model.head(model.encode(changed)[:, 0])[0, 1])
        slope = float(moved[0] - moved[1]) / (2 * e)
        assert shares[divmod(k, N)] == pytest.approx(slope, rel=1e-4, abs=1e-6)


def test_any_score_of_the_logits_is_explained(model):
    """Linear in the score: that of a difference is the difference of both."""
    images = torch.randn(2, 1, 96, 96)
    of = [grid_maps(model, images, logit_of(c)).cells for c in (0, 1)]
    difference = grid_maps(model, images, lambda z: z[:, 1] - z[:, 0]).cells
    assert torch.allclose(difference, of[1] - of[0], atol=1e-6)


def test_no_gradient_reaches_the_resnet_and_none_is_left_behind(model):
    model.requires_grad_(True)
    grid_maps(model, torch.randn(1, 1, 96, 96), logit_of(1))
    assert all(p.grad is None for p in model.parameters())


def test_training_mode_is_refused(model):
    with pytest.raises(ValueError, match=r"model\.eval"):
        grid_maps(model.train(), torch.zeros(1, 1, 96, 96), logit_of(1))
