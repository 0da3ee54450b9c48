"""Pixel SHAP: a linear model's closed form, and the exact values of regions."""

import numpy as np
import pytest
import torch

from eval.faces.pixel_shap import by_region, pixel_shap
from eval.faces.region_shap import region_shap
from tests.eval.faces.painted import learn, painted, preprocessor, region_map


def test_sums_and_means_are_those_of_a_loop_over_pixels():
    of = region_map()
    phi = np.random.default_rng(0).normal(size=of.shape)
    found = by_region(phi, of)
    for p in range(6):
        inside = phi[of == (p + 1) % 6]
        np.testing.assert_allclose(found.total[p], inside.sum())
        np.testing.assert_allclose(found.per_pixel[p], inside.mean())
    assert found.total.sum() == pytest.approx(phi.sum())
    without = np.where(of == 3, 4, of)
    assert np.isnan(by_region(phi, without).per_pixel[2])
    assert by_region(phi, without).total[2] == 0
    with pytest.raises(ValueError, match="region map of"):
        by_region(phi, of[:4])


def test_a_linear_model_has_a_closed_form():
    g = torch.Generator().manual_seed(1)
    w = torch.randn(3, 3, 32, 32, generator=g)
    x, *others = torch.randn(4, 3, 32, 32, generator=g)
    others = torch.stack(others)

    def model(batch):
        return torch.einsum("bchw,kchw->bk", batch, w)

    for k in range(3):
        phi = pixel_shap(model, x, others, k, odds=False, samples=7)
        want = (w[k] * (x - others.mean(0))).sum(0).double().numpy()
        np.testing.assert_allclose(phi, want, atol=1e-4)


@pytest.fixture(scope="module")
def learnt():
    seen, _, labels = painted(500, 4, seed=1)
    return learn(seen, labels), seen, painted(6, 4, seed=2)


def test_it_follows_the_exact_values_and_is_the_same_every_time(learnt):
    model, seen, (pictures, maps, labels) = learnt
    others = preprocessor(seen[:4])
    exact, pixels = [], []
    for picture, of, label in zip(pictures, maps, labels, strict=True):
        x = preprocessor(picture[None])[0]
        exact.append(region_shap(model, x, of, others).values[:, label])
        phi = pixel_shap(model, x, others, int(label))
        pixels.append(by_region(phi, of).total)
    assert np.corrcoef(np.ravel(exact), np.ravel(pixels))[0, 1] > 0.95
    np.random.seed(5)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    again = pixel_shap(model, x, others, int(label))
    assert (again == phi).all()
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002
    assert (pixel_shap(model, x, others, int(label), seed=1) != phi).any()
    assert all(p.grad is None or not p.grad.any() for p in model.parameters())
