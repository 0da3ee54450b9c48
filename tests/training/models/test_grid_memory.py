from __future__ import annotations

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks

from tests.training.models.test_grid_transformer import CONFIG, SMALL
from training.grid import Grid
from training.models.grid_memory import LiveBytes, measure, step_memory
from training.models.grid_transformer import grid_transformer

PAPER = Grid()
GIB = 2**30


def saved(grid: Grid, batch: int, side: int, checkpointing: bool) -> int:
    """Bytes that a real pass keeps for its gradient, each storage once, without the weights."""
    model = grid_transformer(CONFIG, grid).train()
    model.set_grad_checkpointing(checkpointing)
    images = torch.randn(batch, 1, side, side)
    known = {
        x.untyped_storage().data_ptr() for x in [*model.parameters(), *model.buffers(), images]
    }
    found: dict[int, int] = {}

    def pack(x: torch.Tensor) -> torch.Tensor:
        storage = x.untyped_storage()
        if storage.data_ptr() not in known:
            found[storage.data_ptr()] = storage.nbytes()
        return x

    with saved_tensors_hooks(pack, lambda x: x):
        out = model(images, local=True)
    assert out.logits.requires_grad
    return sum(found.values())


@pytest.mark.parametrize("checkpointing", [False, True])
def test_what_is_held_is_what_torch_saves(checkpointing):
    grid = SMALL.model_copy(update={"tile": 64})
    batch, side = 4, 150
    computed = step_memory(grid, batch, side, checkpointing)
    expected = saved(grid, batch, side, checkpointing)
    # Besides: what the heads said and their loss, some numbers a tile.
    assert 0 <= computed.held - expected <= 100 * batch * (grid.tiles + 1)
    model = grid_transformer(CONFIG, grid).train()
    model.set_grad_checkpointing(checkpointing)
    assert measure(model, torch.randn(batch, 1, side, side)) == computed, "on a real device"


def by_hand(batch: int) -> int:
    """What ResNet-18 on 36 tiles of 256 x 256 keeps, layer by layer, in float32.

    A convolution keeps its input, batch norm its input, ReLU its output, which is the next layer's
    input, max pooling its input and int64 places.
    """
    numbers = 256**2 + 2 * 64 * 128**2  # the tile; what the first convolution and its ReLU gave
    places = 64 * 64**2
    numbers += 64 * 64**2  # pooled
    for stage, side in ((0, 64), (1, 32), (2, 16), (3, 8)):
        one = 64 * 2**stage * side**2
        numbers += 2 * 4 * one  # two blocks: conv, ReLU, conv, ReLU
        if stage:
            numbers += one  # what the shortcut's convolution gave
    return batch * 36 * (4 * numbers + 8 * places)


def test_the_papers_batch_of_8_fits_24_gb_and_more_with_checkpointing():
    plain, checkpointed = (step_memory(PAPER, 8, 1536, c) for c in (False, True))
    # Transformer and heads: little beside the tiles.
    assert by_hand(8) < plain.held < 1.02 * by_hand(8)
    assert plain.total(copies=3) < 24e9 / 2  # AdamW and an average
    assert checkpointed.held < plain.held / 5
    assert checkpointed.peak < 0.65 * plain.peak
    assert step_memory(PAPER, 24, 1536, True).total(copies=3) < 24e9 < 24 * plain.held / 8 + GIB


def test_answers_for_many_pictures_need_little():
    """A validation batch of 64: the tiles, and what the first convolution and norm give of some."""
    with torch.device("meta"):
        model = grid_transformer(CONFIG, PAPER).eval()
        images = torch.empty(64, 1, 512, 512)
    own = [*model.parameters(), *model.buffers(), images]
    with torch.no_grad(), LiveBytes(own) as live:
        model(images)
    tiles = 64 * 36 * 256**2 * 4
    assert 2 * tiles < live.peak < 2 * tiles + 1.5 * GIB


def test_it_grows_with_the_batch_and_not_with_the_picture():
    """Pictures are cut to tiles of one size; 3 x 32 pixels are the tiles themselves."""
    one, two = (step_memory(SMALL, b, 96) for b in (1, 2))
    assert two.held == pytest.approx(2 * one.held, rel=0.05)
    assert step_memory(SMALL, 1, 200).held == one.held
