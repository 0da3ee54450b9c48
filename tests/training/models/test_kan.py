from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.interpolate import BSpline

from training.models.kan import KANLinear, bsplines, kan


def scipys(x: np.ndarray, intervals: int, order: int, low: float, high: float) -> np.ndarray:
    """Basis elements one by one, 0 outside their knots."""
    h = (high - low) / intervals
    knots = low + h * np.arange(-order, intervals + order + 1)
    each = []
    for i in range(intervals + order):
        spline = BSpline.basis_element(knots[i : i + order + 2], extrapolate=False)
        each.append(np.nan_to_num(spline(x)))
    return np.stack(each, -1)


@pytest.mark.parametrize(
    ("intervals", "order", "low", "high"),
    [(5, 3, -1, 1), (5, 1, -1, 1), (8, 2, 0, 2), (3, 4, -2, 1), (1, 3, -1, 1), (4, 5, -1, 1)],
)
def test_bases_are_scipys(intervals, order, low, high):
    x = np.random.default_rng(0).uniform(low - 2, high + 2, (40, 3))
    ours = bsplines(torch.from_numpy(x), intervals, order, low, high)
    assert ours.shape == (40, 3, intervals + order)
    np.testing.assert_allclose(ours, scipys(x, intervals, order, low, high), atol=1e-13)


def test_intervals_are_half_open_and_order_0_is_a_histogram():
    x = torch.tensor([-1.0, -0.5, 0.0, 0.25, 0.5, 1.0])
    bases = bsplines(x, intervals=4, order=0)
    assert bases.argmax(-1)[:5].tolist() == [0, 1, 2, 2, 3]
    assert bases.sum(-1).tolist() == [1, 1, 1, 1, 1, 0]


def test_bases_sum_to_one_on_the_grid_and_end_beyond_it():
    inside = torch.linspace(-1, 0.9999, 201, dtype=torch.float64)
    assert torch.allclose(bsplines(inside, 5, 3).sum(-1), torch.ones(201, dtype=torch.float64))
    assert not bsplines(torch.tensor([-2.21, 2.21, 1e30, -torch.inf]), 5, 3)[:2].any()
    assert bsplines(torch.tensor([-2.19, 2.19]), 5, 3).any(-1).all()


def test_a_layer_is_its_equation_edge_by_edge():
    torch.manual_seed(0)
    layer = KANLinear(4, 3).double()
    x = torch.randn(6, 4, dtype=torch.float64)
    w, s, c = (p.detach().numpy() for p in (layer.base, layer.scale, layer.coefficients))
    bases = scipys(x.numpy(), 5, 3, -1, 1)
    expected = np.zeros((6, 3))
    for b in range(6):
        for o in range(3):
            for i in range(4):
                v = x[b, i].item()
                expected[b, o] += w[o, i] * v / (1 + np.exp(-v))
                expected[b, o] += s[o, i] * sum(c[o, i, g] * bases[b, i, g] for g in range(8))
    np.testing.assert_allclose(layer(x).detach(), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    ("widths", "count"), [((4, 3), 120), ((512, 3), 15_360), ((512, 64, 3), 329_600)]
)
def test_parameters(widths, count):
    assert sum(p.numel() for p in kan(widths).parameters()) == count


def test_gradients_are_those_of_finite_differences():
    torch.manual_seed(0)
    layer = kan((3, 2, 2)).double()
    x = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, (x,))
    named = dict(layer.named_parameters())
    assert torch.autograd.gradcheck(
        lambda *p: torch.func.functional_call(
            layer, dict(zip(named, p, strict=True)), (x.detach(),)
        ),
        tuple(p.detach().requires_grad_() for p in named.values()),
    )


def test_a_layer_learns_a_function_that_no_linear_one_is():
    """sin(3x): a KAN layer of one edge fits it."""
    torch.manual_seed(0)
    layer = KANLinear(1, 1).double()
    x = torch.linspace(-1, 0.999, 200, dtype=torch.float64)[:, None]
    y = torch.sin(3 * x)
    optimizer = torch.optim.LBFGS(layer.parameters(), max_iter=60)

    def loss():
        optimizer.zero_grad()
        error = (layer(x) - y).square().mean()
        error.backward()
        return error

    optimizer.step(loss)
    linear = np.polyval(np.polyfit(x[:, 0], y[:, 0], 1), x[:, 0])
    # one cubic spline of 8 coefficients, by least squares: what can be reached
    best = np.linalg.lstsq(scipys(x[:, 0].numpy(), 5, 3, -1, 1), y[:, 0].numpy())[1][0] / 200
    assert loss().item() < 0.01 * np.mean((linear - y[:, 0].numpy()) ** 2)
    assert loss().item() >= 0.5 * best


def test_autocast_leaves_splines_in_float32():
    torch.manual_seed(0)
    layer, x = KANLinear(16, 3), torch.randn(8, 16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(layer(x), layer.float()(x))
        assert layer(x.bfloat16()).dtype == torch.float32
