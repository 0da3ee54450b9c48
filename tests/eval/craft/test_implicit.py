"""Non-negative least squares against every active set, and its gradient against differences."""

from itertools import combinations

import numpy as np
import pytest
import torch
from torch import nn

from eval.craft.cut import cut
from eval.craft.implicit import concept_maps, jacobian, solve
from eval.craft.nnls import coefficients
from eval.pictures.gradcam import gradcam
from tests.eval.craft.planted import Small, planted


def by_enumeration(row, bank):
    """The best of all 2^r active sets."""
    best, error = np.zeros(len(bank)), (row**2).sum()
    for k in range(1, len(bank) + 1):
        for held in combinations(range(len(bank)), k):
            u = np.linalg.lstsq(bank[list(held)].T, row, rcond=None)[0]
            if (u >= 0).all():
                e = ((row - u @ bank[list(held)]) ** 2).sum()
                if e < error:
                    best, error = np.zeros(len(bank)), e
                    best[list(held)] = u
    return best


@pytest.fixture
def bank():
    made = np.random.default_rng(0).random((5, 12))
    return made / np.linalg.norm(made, axis=1, keepdims=True)


def test_the_solution_is_the_best_of_all_active_sets(bank):
    rng = np.random.default_rng(1)
    rows = rng.normal(0.3, 1, (60, 12))
    found = coefficients(rows, bank)
    np.testing.assert_allclose(found, [by_enumeration(r, bank) for r in rows], atol=1e-10)
    assert (found == 0).any()
    assert (found >= 0).all()
    maps = rows.reshape(3, 4, 5, 12)
    np.testing.assert_array_equal(coefficients(maps, bank), found.reshape(3, 4, 5, 5))
    assert (coefficients(np.zeros((1, 12)), bank) == 0).all()


def test_a_bank_without_one_answer_is_refused(bank):
    with pytest.raises(ValueError, match="mixture of others"):
        coefficients(np.ones((1, 12)), np.concatenate([bank, bank[:1] + bank[1:2]]))
    with pytest.raises(ValueError, match="ask for fewer"):
        coefficients(np.ones((1, 3)), np.ones((4, 3)))
    with pytest.raises(ValueError, match="not finite"):
        coefficients(np.full((1, 12), np.inf), bank)
    with pytest.raises(ValueError, match="11 channels"):
        coefficients(np.ones((1, 11)), bank)


def test_the_jacobian_is_that_of_finite_differences(bank):
    rng = np.random.default_rng(2)
    step, seen = 1e-6, set()
    for row in rng.normal(0.3, 1, (40, 12)):
        u = coefficients(row[None], bank)[0]
        exact = jacobian(u, bank)
        moved = np.stack([row + s * step * np.eye(12) for s in (1, -1)])
        up, down = coefficients(moved, bank)
        np.testing.assert_allclose(exact.T, (up - down) / (2 * step), atol=1e-6)
        seen.add(int((u > 0).sum()))
    assert len(seen) > 2, "active sets of several sizes were tried"


def test_autograd_goes_through_it(bank):
    rows = torch.from_numpy(np.random.default_rng(3).normal(0.3, 1, (8, 12))).requires_grad_()
    w = torch.from_numpy(bank)
    assert torch.autograd.gradcheck(lambda a: solve(a, w), (rows,), eps=1e-6, atol=1e-6)
    u = solve(rows, w)
    given = torch.from_numpy(np.random.default_rng(4).normal(size=(8, 5)))
    (gradient,) = torch.autograd.grad((u * given).sum(), rows)
    for k in range(8):
        expected = given[k].numpy() @ jacobian(u[k].detach().numpy(), bank)
        np.testing.assert_allclose(gradient[k].numpy(), expected, atol=1e-12)


def test_through_a_network_to_its_pixels(bank):
    """d u / d pixels of a float64 network, by differences along directions."""
    model = Small(0, signed=True).double().eval()
    bank = np.random.default_rng(5).random((4, 24))
    w, images = torch.from_numpy(bank), planted(4, 3).images.double()

    def u_of(x):
        return solve(torch.relu(model.features(x)).mean((2, 3)), w)

    x = images.clone().requires_grad_()
    along = torch.from_numpy(np.random.default_rng(6).normal(size=images.shape))
    (gradient,) = torch.autograd.grad(u_of(x).sum(), x)
    step = 1e-6
    with torch.no_grad():
        slope = (u_of(images + step * along) - u_of(images - step * along)).sum(1) / (2 * step)
    mine = (gradient * along).flatten(1).sum(1)
    np.testing.assert_allclose(mine.numpy(), slope.numpy(), rtol=1e-5, atol=1e-6)
    assert slope.abs().max() > 1e-3


class AsNetwork(nn.Module):
    """A network whose logits are concepts, for the Grad-CAM of any network."""

    def __init__(self, model, bank):
        super().__init__()
        self.model, self.bank = model, bank

    def forward(self, x):
        return solve(torch.relu(self.model.features(x)).mean((2, 3)), self.bank)


def test_concept_maps_are_grad_cam_of_a_network_of_concepts():
    model, images = Small(0).eval(), planted(6, 3).images
    bank = np.random.default_rng(5).random((4, 24))
    found = concept_maps(cut(model), cut(model, 1), bank, images)
    network = AsNetwork(model, torch.from_numpy(bank)).eval()
    for i in range(4):
        cam = gradcam(network, model.stages[1], images, i).maps
        torch.testing.assert_close(found[:, i], cam, rtol=1e-4, atol=1e-5)
    assert found.shape == (6, 4, 48, 48)
    assert (found.amax((2, 3)) > 0.5).any()
