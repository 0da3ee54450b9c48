"""Exact Shapley values: the definition over all orders, closed forms, and what any must satisfy."""

from itertools import permutations

import numpy as np
import pytest
import torch

from eval.faces.region_shap import PLAYERS, SCORES, log_odds, region_shap, shapley, to_size
from tests.eval.faces.painted import Net, painted, preprocessor, region_map


def by_orders(worth, n):
    """The definition: what a player adds, averaged over all n! orders of coming in."""
    total = np.zeros((n, *np.shape(worth)[1:]))
    orders = list(permutations(range(n)))
    for order in orders:
        here = 0
        for player in order:
            total[player] += worth[here | 1 << player] - worth[here]
            here |= 1 << player
    return total / len(orders)


@pytest.mark.parametrize("n", [1, 2, 3, 5, 6])
def test_random_games_agree_with_the_definition(n):
    worth = np.random.default_rng(n).normal(size=(2**n, 3))
    np.testing.assert_allclose(shapley(worth), by_orders(worth, n), atol=1e-12)
    np.testing.assert_allclose(shapley(worth).sum(0), worth[-1] - worth[0], atol=1e-12)


def test_games_that_are_known():
    gloves = [0, 0, 0, 1, 0, 1, 0, 1]  # player 0 has the left one, 1 and 2 a right one each
    np.testing.assert_allclose(shapley(gloves), [2 / 3, 1 / 6, 1 / 6])
    assert shapley([4.0]).shape == (0,)
    with pytest.raises(ValueError, match="3 coalitions"):
        shapley([0, 1, 2])


def masked_by_hand(model, picture, regions, reference, score):
    """Every coalition put together in numpy, and the definition over orders."""
    worth = []
    for s in range(64):
        mixed = reference.numpy().copy()
        for p in range(6):
            inside = regions == (p + 1) % 6
            if s >> p & 1:
                mixed[:, inside] = picture.numpy()[:, inside]
        with torch.no_grad():
            z = model(torch.from_numpy(mixed)[None]).double().numpy()
        worth.append(score(z)[0])
    return by_orders(np.array(worth), 6)


@pytest.mark.parametrize("name", SCORES)
@pytest.mark.parametrize("classes", [2, 3, 5])
def test_a_network_agrees_with_the_definition_and_adds_up(name, classes):
    torch.manual_seed(classes)
    model = Net(classes).eval()
    pictures, maps, _ = painted(3, 4, seed=classes)
    x = preprocessor(pictures)
    found = region_shap(model, x[0], maps[0], x[1:], SCORES[name], batch=17)
    by_hand = [masked_by_hand(model, x[0], maps[0], r, SCORES[name]) for r in x[1:]]
    np.testing.assert_allclose(found.values, np.mean(by_hand, axis=0), atol=2e-6)
    with torch.no_grad():
        z = SCORES[name](model(x).double().numpy())
    assert np.abs(found.values.sum(0) - (z[0] - z[1:].mean(0))).max() < 1e-5
    assert found.residual < 1e-5
    np.testing.assert_allclose(found.full, z[0], atol=1e-6)


def test_a_linear_model_has_a_closed_form():
    rng = np.random.default_rng(2)
    w = torch.from_numpy(rng.normal(size=(4, 3, 32, 32))).float()

    def model(x):
        return torch.einsum("bchw,kchw->bk", x, w)

    of = region_map()
    x, other = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    found = region_shap(model, x, of, other[None], SCORES["logit"])
    each = (w * (x - other)).sum(1).numpy()  # [K, H, W]
    for p in range(6):
        np.testing.assert_allclose(found.values[p], each[:, of == (p + 1) % 6].sum(1), atol=1e-3)


def test_log_odds_are_those_of_the_probabilities_and_know_no_shift():
    z = np.random.default_rng(0).normal(size=(5, 3))
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    np.testing.assert_allclose(log_odds(z), np.log(p / (1 - p)))
    np.testing.assert_allclose(log_odds(z + 7), log_odds(z))


def test_what_is_the_same_in_both_or_not_there_gets_nothing():
    pictures, maps, _ = painted(2, 4, seed=1)
    x = preprocessor(pictures)
    of = maps[0].copy()
    of[of == 2] = 3  # nobody's periorbital region
    x[1][:, torch.from_numpy(of == 5)] = x[0][:, torch.from_numpy(of == 5)]
    calls = []

    def model(batch):
        calls.append(len(batch))
        return Net().eval()(batch)

    found = region_shap(model, x[0], of, x[1:])
    assert (found.values[PLAYERS.index("periorbital")] == 0).all()
    assert (found.values[PLAYERS.index("jawline")] == 0).all()
    assert sum(calls) <= 2 + 2**4  # and nothing is asked for them


def test_one_logit_is_two_classes():
    def model(x):
        return x.mean((1, 2, 3))

    pictures, maps, _ = painted(2, 4, seed=1)
    x = preprocessor(pictures)
    found = region_shap(model, x[0], maps[0], x[1:])
    np.testing.assert_allclose(found.values[:, 0], -found.values[:, 1], atol=1e-12)
    assert found.full[1] == pytest.approx(float(x[0].mean()), abs=1e-6)


def test_sizes_and_numbers_that_do_not_fit_are_refused():
    x = torch.zeros(3, 32, 32)
    with pytest.raises(ValueError, match="to_size"):
        region_shap(Net(), x, region_map(64), x[None])
    with pytest.raises(ValueError, match="from 0 to 5"):
        region_shap(Net(), x, region_map() + 3, x[None])
    with pytest.raises(ValueError, match="at least one"):
        region_shap(Net(), x, region_map(), torch.zeros(0, 3, 32, 32))


def test_a_map_is_resized_by_the_middles_of_pixels():
    of = region_map(64)
    small = to_size(of, 32, 16)
    assert small.shape == (32, 16)
    for r, c in ((0, 0), (13, 7), (31, 15), (20, 9)):
        assert small[r, c] == of[int((r + 0.5) * 2), int((c + 0.5) * 4)]
    assert (to_size(of, 64, 64) == of).all()
    assert (to_size(small, 32, 16) == small).all()
