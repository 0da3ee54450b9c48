from __future__ import annotations

import json

import pytest
import torch
from pydantic import ValidationError
from torch.nn import functional as F

from eval.gradcam import gradcam
from training.checkpoint import load_weights, save_weights
from training.config import Model
from training.grid import Grid
from training.models import build, cam_layer
from training.models.grid_transformer import GridTransformer, grid_transformer
from training.models.tiles import edges
from training.preprocess import Preprocessor
from training.recipes import recipe

CONFIG = recipe("li2026:smoke").model
SMALL = Grid(grid=3, tile=32, width=64, depth=2, heads=4, mlp=48, hidden=16)
H, W = 100, 67  # not multiples of 3


def network(grid: Grid = SMALL, seed: int = 0, classes: int = 2) -> GridTransformer:
    """In eval mode, with batch norms that have seen something: none of so few channels is dead."""
    torch.manual_seed(seed)
    model = grid_transformer(CONFIG.model_copy(update={"classes": classes}), grid)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.ones_(module.weight)  # a block's last is zero at the start
            torch.nn.init.constant_(module.bias, 0.5)
            module.momentum = 1.0
    with torch.no_grad():
        model.train()(torch.randn(4, 1, H, W))
    return model.eval()


def boxes(n: int, height: int, width: int) -> list[tuple[slice, slice]]:
    rows, columns = edges(height, n), edges(width, n)
    return [
        (slice(rows[r], rows[r + 1]), slice(columns[c], columns[c + 1]))
        for r in range(n)
        for c in range(n)
    ]


def test_the_papers_sizes():
    """Counted by hand: 12 D^2 + 13 D a layer for an MLP of 4 D, and so on."""
    with torch.device("meta"):
        model = build(Model(name="grid_transformer", pretrained="none"))
        out = model(torch.empty(2, 1, 300, 250), local=True)
    assert (out.logits.shape, out.local.shape) == ((2, 2), (2, 36, 2))
    count = {n: sum(p.numel() for p in m.parameters()) for n, m in model.named_children()}
    d, h = 512, Grid().hidden
    assert count["tiles"] == 11_170_240
    assert count["layers"] == 6 * (12 * d * d + 13 * d) == 18_914_304
    assert count["head"] == d * h + h + 2 * h + 2
    assert count["local_heads"] == 36 * count["head"]
    rest = sum(p.numel() for p in model.parameters()) - sum(count.values())
    assert rest == 38 * d, "the token and 37 positions"


def test_a_local_head_sees_its_own_tile_alone():
    model = network()
    x = torch.randn(2, 1, H, W, requires_grad=True)
    local = model(x, local=True).local
    for k, (rows, columns) in enumerate(boxes(3, H, W)):
        (gradient,) = torch.autograd.grad(local[:, k, 1].sum(), x, retain_graph=True)
        own = torch.zeros(H, W, dtype=torch.bool)
        own[rows, columns] = True
        assert (gradient[..., ~own] == 0).all()
        assert (gradient[..., own].abs().amax((1, 2)) > 0).all()


def test_a_local_head_of_tokens_and_the_global_head_see_every_tile():
    model = network(SMALL.model_copy(update={"local_input": "token"}))
    x = torch.randn(2, 1, H, W, requires_grad=True)
    out = model(x, local=True)
    for logit in (out.logits[:, 1], out.local[:, 4, 1]):
        (gradient,) = torch.autograd.grad(logit.sum(), x, retain_graph=True)
        for rows, columns in boxes(3, H, W):
            assert (gradient[:, 0, rows, columns].abs().amax((1, 2)) > 0).all()


@pytest.mark.parametrize(("source", "classes"), [("tile", 2), ("token", 2), ("tile", 3)])
def test_the_parts_are_put_together_as_the_paper_writes_them(source, classes):
    """Tile by tile and head by head."""
    model = network(SMALL.model_copy(update={"local_input": source}), classes=classes)
    x = torch.randn(2, 1, H, W)
    with torch.no_grad():
        y = []
        for rows, columns in boxes(3, H, W):
            tile = F.interpolate(x[..., rows, columns], (32, 32), mode="bilinear", antialias=True)
            y.append(model.tiles.cnn(tile))  # timm's own pooling
        tokens = torch.stack([model.bmd.expand(2, -1), *y], 1) + model.positions
        for layer in model.layers:
            tokens = layer(tokens)
        heads = model.local_heads
        local = []
        for k in range(9):
            of = tokens[:, 1 + k] if source == "token" else y[k]
            h = F.gelu(of @ heads.weight1[k] + heads.bias1.view(9, -1)[k])
            local.append(h @ heads.weight2[k] + heads.bias2.view(9, -1)[k])
        out = model(x, local=True)
        assert out.local.shape == (2, 9, classes)
        torch.testing.assert_close(out.logits, model.head(tokens[:, 0]))
        torch.testing.assert_close(out.local, torch.stack(local, 1))
        assert torch.equal(model(x), out.logits)


def test_where_a_tile_lies_matters():
    """Without positions attention would not know."""
    model = network()
    x = torch.randn(1, 1, 96, 96)
    swapped = x.clone()
    swapped[..., :32, :32], swapped[..., 64:, 64:] = x[..., 64:, 64:], x[..., :32, :32]
    with torch.no_grad():
        assert (model(x) - model(swapped)).abs().max() > 1e-4
        model.positions.zero_()
        torch.testing.assert_close(model(x), model(swapped))


def test_the_same_seed_gives_the_same_step_to_the_last_bit():
    found = []
    for _ in range(2):
        model = network(seed=3).train()
        x = torch.randn(2, 1, H, W, generator=torch.Generator().manual_seed(0))
        out = model(x, local=True)
        (out.logits.square().sum() + out.local.square().sum()).backward()
        found.append([out.logits, out.local, *(p.grad for p in model.parameters())])
    for a, b in zip(*found, strict=True):
        assert a is not None
        assert torch.equal(a, b)


def test_checkpointing_gives_the_same_gradients_through_the_whole_model():
    found = []
    for checkpointing in (False, True):
        model = network(seed=3).train()  # dropout included
        model.set_grad_checkpointing(checkpointing)
        x = torch.randn(2, 1, H, W, generator=torch.Generator().manual_seed(0))
        out = model(x, local=True)
        (out.logits.square().sum() + out.local.square().sum()).backward()
        found.append([*(p.grad for p in model.parameters()), *model.state_dict().values()])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))  # type: ignore[arg-type]


def test_what_lies_aside_has_no_say_in_the_logits_and_all_else_has():
    model = build(CONFIG).eval()
    model(torch.randn(2, 1, 101, 90)).square().sum().backward()
    silent = {n.partition(".")[0] for n, p in model.named_parameters() if p.grad is None}
    assert silent == set(model.aside)  # type: ignore[arg-type]


def test_weights_come_back_from_their_folder_by_name(tmp_path):
    torch.manual_seed(0)
    model = build(CONFIG).eval()
    seen = Preprocessor(size=96, mean=0.449, std=0.226, pixels="drawn/1", shape=(96, 96))
    save_weights(tmp_path / "weights", model, CONFIG, seen, {}, {})
    again, _ = load_weights(tmp_path / "weights")
    assert isinstance(again, GridTransformer)
    x = torch.randn(2, 1, 96, 96)
    with torch.no_grad():
        assert torch.equal(again(x), model(x))
    sizes = json.loads((tmp_path / "weights" / "config.json").read_text())["model"]["grid"]
    assert sizes == CONFIG.grid.model_dump()


def test_ordinary_grad_cam_finds_the_map_put_together():
    model = build(CONFIG).eval()
    x = torch.randn(2, 1, 101, 90)
    shapes = []
    handle = cam_layer(model).register_forward_hook(lambda *a: shapes.append(a[2].shape))
    found = gradcam(model, cam_layer(model), x, 1)
    handle.remove()
    assert shapes == [(2, 64, 6, 6)], "a 32-pixel tile's map is one cell"
    assert found.maps.shape == (2, 101, 90)


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ({"heads": 7}, "512 does not divide into 7 heads"),
        ({"width": 100}, "multiple of 8"),
        ({"grid": 0}, "greater than or equal to 1"),
        ({"local_loss": "max"}, "'tile' or 'mean'"),
        ({"tiles": 36}, "Extra inputs"),
    ],
)
def test_sizes_that_cannot_be_are_refused(bad, says):
    with pytest.raises(ValidationError, match=says):
        Grid(**bad)
