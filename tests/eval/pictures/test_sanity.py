"""Random weights: what is drawn again, that explanations change, and that an edge map fails."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from eval.pictures.explained import LIMIT
from eval.pictures.gradcam import gradcam
from eval.pictures.sanity import blocks, randomised, sanity
from eval.pictures.similarity import rank_correlation
from training.config import Model
from training.models import build


def network(name="test_resnet"):
    torch.manual_seed(0)
    model = build(Model(name=name, pretrained="none"), load=False).eval()
    for parameter in model.parameters():  # a fresh network's biases and scales are constants
        parameter.data += 0.1 * torch.randn_like(parameter)
    return model


@pytest.fixture(scope="module")
def images():
    """Smooth blobs, each picture with its own."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:64, :64] / 64
    made = [
        sum(np.exp(-(((x - a) ** 2 + (y - b) ** 2) / 0.01)) for a, b in rng.random((4, 2)))
        for _ in range(10)
    ]
    return torch.tensor(np.array(made), dtype=torch.float32)[:, None]


@pytest.fixture(scope="module")
def taught():
    """A network that learns upright bars (1) from level ones (0), among blobs; and 30 pictures."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)

    def draw(n):
        x, y = rng.normal(0, 0.1, (n, 1, 24, 24)), rng.integers(0, 2, n)
        for i in range(n):
            for _ in range(3):
                r, c = rng.integers(0, 20, 2)
                x[i, 0, r : r + 4, c : c + 4] += 1
            r, c = rng.integers(0, 17, 2)
            x[i, 0, r : r + (7 if y[i] else 1), c : c + (1 if y[i] else 7)] += 2
        return torch.tensor(x, dtype=torch.float32), torch.tensor(y)

    model = nn.Sequential(
        *(nn.Conv2d(1, 8, 5, padding=2), nn.ReLU(), nn.Conv2d(8, 16, 5, padding=2), nn.ReLU()),
        *(nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(16, 2)),
    )
    optimizer = torch.optim.Adam(model.parameters(), 5e-3)
    for _ in range(100):
        x, y = draw(32)
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    x, y = draw(30)
    assert (model(x).argmax(dim=1) == y).float().mean() > 0.9
    return model.eval(), x


def test_blocks_run_from_the_head_to_the_stem():
    assert blocks(network()) == ["fc", "layer4", "layer3", "layer2", "layer1", "bn1", "conv1"]
    deep = blocks(network("test_convnext"))
    assert deep == ["head", "stages.3", "stages.2", "stages.1", "stages.0", "stem"]


@pytest.mark.parametrize("name", ["test_resnet", "test_convnext", "test_vit", "test_byobnet"])
def test_everything_is_drawn_again_and_the_model_is_left_as_it_was(name):
    model = network(name)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    state = torch.random.get_rng_state()
    new = randomised(model, 3)
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    unchanged = [
        n for n, p in new.named_parameters() if p.numel() > 2 and torch.equal(p, before[n])
    ]
    assert not unchanged
    assert not new.training
    again, other = randomised(model, 3), randomised(model, 4)
    for n, p in new.named_parameters():
        assert torch.equal(p, again.get_parameter(n))
    assert any(not torch.equal(p, other.get_parameter(n)) for n, p in new.named_parameters())


def test_a_cascade_reaches_down_to_its_block_and_no_further():
    model = network()
    names = blocks(model)
    two, three = randomised(model, 0, names[:2]), randomised(model, 0, names[:3])
    for n, p in model.named_parameters():
        top = n.split(".")[0]
        if top not in names[:2]:
            assert torch.equal(p, two.get_parameter(n))
        if top not in names[2:3]:  # the blocks above are drawn as they were
            assert torch.equal(two.get_parameter(n), three.get_parameter(n))


def test_grad_cam_of_a_network_that_has_learnt_passes(taught):
    model, images = taught
    answers = model(images).argmax(dim=1).tolist()

    def look(m):
        return gradcam(m, m[3], images, answers).maps.detach().numpy()

    own = look(model)
    controls = [look(randomised(model, seed)) for seed in (1, 2, 3)]
    found = sanity(model, look, own, controls, np.arange(30))
    assert [s.block for s in found.stages] == ["6", "2", "everything"]
    assert found.passed
    last = found.stages[-1]
    assert last.size.high < LIMIT
    assert last.ssim.value < 0.9
    assert (found.networks, found.pictures) == (3, 30)
    # by hand: |Spearman| of each picture and network, where both maps have contrast
    size = np.array(
        [[abs(rank_correlation(a, b)) for a, b in zip(own, c, strict=True)] for c in controls]
    )
    assert last.size.value == pytest.approx(np.nanmean(np.nanmean(size, axis=0)))


class Edges(nn.Module):
    """Weights that decide the answer and not the map, which is the picture's own bright parts."""

    def __init__(self):
        super().__init__()
        self.seen = nn.Identity()
        self.fc = nn.Linear(1, 1)

    def forward(self, x):
        return self.seen(x).mean(dim=(2, 3)) * self.fc.weight.exp()


def test_a_map_that_shows_the_picture_whatever_the_weights_fails(images):
    model = Edges().eval()

    def look(m):
        return gradcam(m, m.seen, images, 1).maps.detach().numpy()

    controls = [look(randomised(model, s)) for s in (1, 2)]
    found = sanity(model, look, look(model), controls, np.arange(10))
    assert found.passed is False
    assert found.undefined is None
    assert found.stages[-1].rank.value == pytest.approx(1)
    assert found.stages[-1].ssim.value == pytest.approx(1, abs=1e-4)


def test_a_map_turned_into_its_negative_fails_too(images):
    """Ranks in reverse show the same picture: the size of the correlation counts."""
    model = network()
    own = images[:, 0].numpy() / images.amax().item()
    jitter = np.random.default_rng(0).normal(0, 0.001, own.shape)
    turned = (1 - own + jitter).clip(0, 1)
    found = sanity(model, lambda m: turned, own, [turned], np.arange(10))
    assert found.stages[-1].rank.value < -0.8
    assert found.passed is False


def test_without_evidence_there_is_no_verdict(images):
    model = network()
    own = images[:, 0].numpy() / images.amax().item()
    blind = np.zeros_like(own)
    found = sanity(model, lambda m: blind, own, [blind, blind], np.arange(10))
    assert found.passed is None
    assert found.undefined == "no picture has evidence both before and after"
    assert found.stages[-1].incomparable == 10
    half = own.copy()
    half[:9] = 0
    half[9] = np.random.default_rng(0).random(half[9].shape)
    one = sanity(model, lambda m: half, own, [half], np.arange(10))
    assert one.stages[-1].incomparable == 9
    assert one.passed is None
    assert one.undefined == "one patient cannot be resampled"
    for own_, controls in ((own[:0], [own[:0]]), (own, [])):
        with pytest.raises(ValueError, match="at least one"):
            sanity(model, lambda m: own, own_, controls, np.arange(len(own_)))
