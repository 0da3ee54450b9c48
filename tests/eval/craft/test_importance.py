"""The indices of concepts: exactly nothing where the head does not look, and those of the whole map
where it does."""

import numpy as np
import pytest
import torch
from torch import nn

from eval.craft.cut import Cut
from eval.craft.importance import amounts, importance, log_odds
from eval.craft.sobol import LEAST, design, total_indices

C, R, PLACES = 8, 3, 4


class Above(nn.Module):
    """A head that reads some channels, by their means or place by place."""

    def __init__(self, reads, means, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.means = means
        self.linear = nn.Linear(C if means else C * PLACES**2, 3)
        with torch.no_grad():
            mask = torch.zeros(C)
            mask[reads] = 1
            each = mask if means else mask[:, None].expand(C, PLACES**2).reshape(-1)
            self.linear.weight *= each

    def forward(self, maps):
        x = maps.mean((2, 3)) if self.means else maps.flatten(1)
        return torch.tanh(self.linear(x)) * 3


def halves(head):
    """The picture itself is the map."""
    return Cut("the picture", lambda x, face: x, lambda x, face: x, head)


@pytest.fixture
def concepts():
    """Three concepts of channels of their own: 0-2, 3-5, 6-7."""
    made = np.zeros((R, C))
    made[0, :3], made[1, 3:6], made[2, 6:] = 1 / 3**0.5, 1 / 3**0.5, 1 / 2**0.5
    return made


@pytest.fixture
def images(concepts):
    u = np.random.default_rng(0).exponential(1, (5, PLACES, PLACES, R))
    return torch.from_numpy((u @ concepts).astype(np.float32)).permute(0, 3, 1, 2).contiguous()


@pytest.mark.parametrize("means", [True, False])
def test_what_the_head_ignores_has_exactly_nothing(images, concepts, means):
    at = halves(Above([0, 1, 2, 6, 7], means))
    held = amounts(at, images, None, concepts, 2)
    np.testing.assert_allclose(held.explained, 1, atol=1e-6)
    assert held.kept.all()
    found = importance(at, held, None, concepts, 0, 512, 0, 37)
    assert (found[:, 1] == 0).all()
    assert (found[:, [0, 2]] > 0.01).all()


@pytest.mark.parametrize("means", [True, False])
def test_indices_are_those_of_a_slow_reading(images, concepts, means):
    head = Above(range(C), means).double()
    at = halves(head)
    maps = images.double() - 0.3  # some of it negative: held as it is
    held = amounts(at, maps, None, concepts, 5)
    assert 0 < held.removed < 1
    found = importance(at, held, None, concepts, 1, LEAST, 3, 16)
    masks = design(LEAST, R, 3)
    for n in range(len(maps)):
        answers = np.zeros(masks.shape[:2])
        for s in range(R + 2):
            for j in range(0, LEAST):
                u = held.places[n] * masks[s, j]
                one = np.einsum("hwr,rc->chw", u, concepts) - np.clip(-maps[n].numpy(), 0, None)
                z = head(torch.from_numpy(one)[None])[0].detach().numpy()
                answers[s, j] = z[1] - np.log(np.exp(z[0]) + np.exp(z[2]))
        np.testing.assert_allclose(found[n], total_indices(answers), rtol=1e-6)


def test_of_a_linear_head_the_closed_form(images, concepts):
    """Y = sum of c_i M_i: independent uniform masks, S_Ti = c_i^2 / sum of squares."""
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(C, 2))
    at = halves(head)
    held = amounts(at, images, None, concepts, 5)
    found = importance(at, held, None, concepts, 1, 1024, 0, 64)
    weight = (head[2].weight[1] - head[2].weight[0]).detach().numpy()
    c = held.places.mean((1, 2)) * (concepts @ weight)
    np.testing.assert_allclose(found, c**2 / (c**2).sum(axis=1, keepdims=True), atol=0.01)


def test_a_head_that_answers_the_same_to_all_gives_none(images, concepts):
    at = halves(Above([], True))
    held = amounts(at, images, None, concepts, 5)
    assert np.isnan(importance(at, held, None, concepts, 0, LEAST, 0, 64)).all()


def test_log_odds_are_of_one_class_against_all_others():
    z = torch.tensor([[1.0, 2.0, 0.5], [0.0, -3.0, 4.0]])
    p = z.softmax(1)
    torch.testing.assert_close(log_odds(z, 1), (p[:, 1] / (1 - p[:, 1])).log())
    torch.testing.assert_close(log_odds(z + 5, 1), log_odds(z, 1))
    for bad, target in ((z, 3), (z, -1), (z[:, :1], 0), (z[0], 0)):
        with pytest.raises(ValueError, match="a logit for each class"):
            log_odds(bad, target)
