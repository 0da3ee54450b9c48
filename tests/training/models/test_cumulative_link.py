"""The ordinal model against its definition."""

from __future__ import annotations

import torch
from torch import nn

from tests.training.test_image import SMALL
from training.config import Model
from training.losses import cross_entropy
from training.models import build, cam_layer
from training.models.cumulative_link import CumulativeLink, log_probabilities
from training.models.grid_transformer import GridOutput


def test_probabilities_are_differences_of_two_sigmoids():
    f = torch.linspace(-9, 9, 41, dtype=torch.float64)
    low, high = torch.tensor([-0.8], dtype=f.dtype), torch.tensor([1.7], dtype=f.dtype)
    p = log_probabilities(f, low, high).exp()
    above_low, above_high = torch.sigmoid(f - low), torch.sigmoid(f - high)
    slow = torch.stack([1 - above_low, above_low - above_high, above_high], 1)
    torch.testing.assert_close(p, slow, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(p.sum(1), torch.ones_like(f))
    # softmax of what the network says gives them back
    torch.testing.assert_close(log_probabilities(f, low, high).softmax(1), slow, atol=1e-12, rtol=0)


def test_it_is_finite_where_a_probability_is_tiny_and_so_is_its_gradient():
    f = torch.tensor([-200.0, 0.0, 200.0], requires_grad=True)
    said = log_probabilities(f, torch.tensor([-0.7]), torch.tensor([0.7]))
    assert said.isfinite().all()
    said.sum().backward()
    assert f.grad is not None
    assert f.grad.isfinite().all()


class Number(nn.Module):
    """[B, 1, 1, 1] -> two logits whose difference is the picture's only pixel."""

    def forward(self, x):
        return torch.stack([torch.zeros(len(x)), x.flatten()], 1)


def test_its_likelihood_finds_the_cuts_it_was_drawn_with():
    generator = torch.Generator().manual_seed(0)
    x = 2 * torch.randn(20_000, 1, 1, 1, generator=generator)
    noise = torch.rand(20_000, generator=generator).logit()
    label = sum((x.flatten() + noise > cut).long() for cut in (-1.2, 0.4))
    model = CumulativeLink(Number())
    best = torch.optim.LBFGS(model.parameters(), max_iter=60)

    def loss():
        best.zero_grad()
        value = cross_entropy(model(x), torch.as_tensor(label)).mean()
        value.backward()
        return value

    best.step(loss)
    low = float(model.low.detach())
    high = low + float(nn.functional.softplus(model.gap.detach()))
    assert abs(low - -1.2) < 0.06
    assert abs(high - 0.4) < 0.06


def test_local_heads_are_translated_alike_and_grad_cam_finds_the_map():
    model = build(SMALL.model_copy(update={"ordinal": True, "classes": 3})).eval()
    out = model(torch.randn(2, 1, 64, 64), local=True)
    assert isinstance(out, GridOutput)
    assert out.logits.shape == (2, 3)
    assert out.local.shape == (2, 4, 3)
    torch.testing.assert_close(out.local.exp().sum(-1), torch.ones(2, 4))
    assert cam_layer(model) is model.get_submodule("network.maps")


def test_a_timm_network_has_two_cuts_more():
    plain = Model(name="test_convnext", pretrained="none")
    made = build(plain.model_copy(update={"ordinal": True, "classes": 3}))
    extra = {"low", "gap"}
    assert extra <= set(made.state_dict())
    count = sum(p.numel() for p in made.parameters())
    assert count == sum(p.numel() for p in build(plain).parameters()) + 2
