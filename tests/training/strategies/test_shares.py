from __future__ import annotations

import pytest
import torch

from training.strategies.shares import Piece, apart, together
from training.world import alone

SHAPES = {"a": torch.Size([2, 3]), "b": torch.Size([5])}


def shares():
    """The numbers of a and b in tensors of 4 and 8: a is cut, the last number is padding."""
    first, second = torch.zeros(4, requires_grad=True), torch.zeros(8, requires_grad=True)
    pieces = [
        Piece("a", first, 0, 0, 4),
        Piece("a", second, 0, 4, 2),
        Piece("b", second, 2, 0, 5),
    ]
    return torch.optim.AdamW([first, second]), pieces, [first, second]


def state(step: float = 3.0):
    rng = torch.Generator().manual_seed(0)
    whole = {}
    for name, shape in SHAPES.items():
        for moment in ("exp_avg", "exp_avg_sq"):
            whole[f"{name}/{moment}"] = torch.rand(shape, generator=rng)
        whole[f"{name}/step"] = torch.tensor(step)
    whole["b/exp_avg"][:2] = torch.tensor([-0.0, float("nan")])
    return whole


def test_what_is_cut_comes_together_again_to_the_bit():
    optimizer, pieces, flats = shares()
    apart(state(), optimizer, pieces, flats, SHAPES)
    padded = optimizer.state[flats[1]]["exp_avg"]
    assert padded.tolist()[:2] == state()["a/exp_avg"].flatten()[4:].tolist()
    assert padded[-1] == 0
    again = together(optimizer, pieces, SHAPES, alone())
    assert again.keys() == state().keys()
    for key, value in state().items():
        assert again[key].shape == value.shape
        assert again[key].numpy().tobytes() == value.numpy().tobytes(), key


def test_step_0_has_no_state():
    optimizer, pieces, flats = shares()
    assert together(optimizer, pieces, SHAPES, alone()) == {}
    apart(state(), optimizer, pieces, flats, SHAPES)
    apart({}, optimizer, pieces, flats, SHAPES)
    assert together(optimizer, pieces, SHAPES, alone()) == {}


def without(key):
    return {k: v for k, v in state().items() if k != key}


@pytest.mark.parametrize(
    ("whole", "why"),
    [
        (without("b/exp_avg"), "another model: b/exp_avg"),
        (state() | {"c/step": torch.tensor(3.0)}, "another model: c/step"),
        (state() | {"a/exp_avg": torch.zeros(6)}, "another model: the shape of a"),
        (state() | {"b/step": torch.tensor(2.0)}, r"stepped \[2.0, 3.0\] times.*strategy=ddp"),
    ],
)
def test_another_models_state(whole, why):
    optimizer, pieces, flats = shares()
    with pytest.raises(ValueError, match=why):
        apart(whole, optimizer, pieces, flats, SHAPES)
