from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.training.models import slow
from training.models.spatial_supervision import SpatialSupervision


def made(embedding: int = 6, heads: int = 2, attention: str = "softmax") -> SpatialSupervision:
    torch.manual_seed(0)
    module = slow.drawn(SpatialSupervision(4, heads, embedding, attention))  # type: ignore[arg-type]
    return module.double()  # type: ignore[return-value]


def inputs(embedding: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(1)
    x = torch.randn(2, 4, 3, 5, generator=g, dtype=torch.float64)
    return x, torch.randn(2, embedding, generator=g, dtype=torch.float64)


def loops(module: SpatialSupervision, x: np.ndarray, face: np.ndarray | None) -> np.ndarray:
    """Eqs. 9-11 of one picture, place by place."""
    w = slow.weights(module)
    channels, height, width = x.shape
    dim = channels // module.heads
    key = w["key_bias"] if face is None else w["key_bias"] + w["key.weight"] @ face
    q, v = np.maximum(slow.pointwise(x, w["query_value.weight"], w["query_value.bias"]), 0).reshape(
        2, channels, height, width
    )
    out = np.zeros_like(x)
    places = [(i, j) for i in range(height) for j in range(width)]
    for h in range(module.heads):
        c = slice(h * dim, (h + 1) * dim)
        scores = [q[c, i, j] @ key[c] / np.sqrt(dim) for i, j in places]
        if module.attention == "softmax":
            attention = slow.softmax(scores) * len(places)
        else:
            attention = [2 / (1 + np.exp(-s)) for s in scores]
        for (i, j), a in zip(places, attention, strict=True):
            out[c, i, j] = a * v[c, i, j]
    return x + slow.pointwise(out, w["out.weight"], w["out.bias"])


@pytest.mark.parametrize("attention", ["softmax", "sigmoid"])
@pytest.mark.parametrize("heads", [1, 2, 4])
@pytest.mark.parametrize("embedding", [6, 0])
def test_it_is_the_loops(embedding, heads, attention):
    module = made(embedding, heads, attention)
    x, face = inputs()
    ours = module(x, face if embedding else None).detach()
    for i in range(2):
        expected = loops(module, x[i].numpy(), face[i].numpy() if embedding else None)
        np.testing.assert_allclose(ours[i], expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("attention", ["softmax", "sigmoid"])
def test_a_key_of_zero_leaves_the_path_of_the_values(attention):
    module = made(attention=attention)
    x, face = inputs()
    with torch.no_grad():
        module.key.weight.zero_()
        module.key_bias.zero_()
    w = slow.weights(module)
    for i in range(2):
        one = x[i].numpy()
        value = slow.pointwise(one, w["query_value.weight"][4:], w["query_value.bias"][4:])
        expected = one + slow.pointwise(np.maximum(value, 0), w["out.weight"], w["out.bias"])
        np.testing.assert_allclose(module(x, face)[i].detach(), expected, rtol=1e-12)


@pytest.mark.parametrize("attention", ["softmax", "sigmoid"])
def test_another_face_looks_elsewhere(attention):
    module = made(attention=attention)
    x, face = inputs()
    other = face.clone()
    other[1] = -other[1]
    before, after = module(x, face), module(x, other)
    assert torch.equal(before[0], after[0])
    assert (before[1] - after[1]).abs().max() > 0.01


def test_attention_over_places_has_a_mean_of_1():
    """Values of 1 in, and their mean over places is what comes out, whatever the face."""
    module = made()
    x, face = inputs()
    with torch.no_grad():
        module.query_value.weight[4:].zero_()
        module.query_value.bias[4:] = 1
        module.out.weight[:] = torch.eye(4)[..., None, None]
        module.out.bias.zero_()
    attention = module(x, face) - x
    assert torch.allclose(attention.mean((2, 3)), torch.ones(2, 4, dtype=torch.float64))
    assert attention.std((2, 3)).min() > 0.01


@pytest.mark.parametrize("attention", ["softmax", "sigmoid"])
def test_gradients_are_those_of_finite_differences(attention):
    module = made(attention=attention)
    x, face = (t.requires_grad_() for t in inputs())
    assert torch.autograd.gradcheck(module, (x, face))
    named = dict(module.named_parameters())

    def run(*p: torch.Tensor) -> torch.Tensor:
        state = dict(zip(named, p, strict=True))
        return torch.func.functional_call(module, state, (x.detach(), face.detach()))

    assert torch.autograd.gradcheck(run, [p.detach().requires_grad_() for p in named.values()])


def test_channels_that_heads_cannot_share_are_refused():
    with pytest.raises(ValueError, match="6 channels cannot be shared by 4 heads"):
        SpatialSupervision(6, 4, 8)
