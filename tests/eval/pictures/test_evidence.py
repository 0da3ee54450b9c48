"""One question to all kinds of networks: each against Grad-CAM by another way."""

import pytest
import torch

from eval.gradcam import class_logit, gradcam
from eval.pictures.evidence import answer_score, evidence, method
from eval.pictures.gradcam import picture
from eval.pictures.sanity import blocks, randomised
from training.config import Model
from training.grid import Grid
from training.models import build, cam_layer

GRID = Grid(grid=3, tile=64, width=32, depth=1, heads=4, mlp=64, hidden=16)
ANSWERS = [1, 0, 0, 1]


def network(**settings):
    torch.manual_seed(7)
    model = build(Model(pretrained="none", **settings), load=False).eval()
    for parameter in model.parameters():  # fresh scales and biases are constants
        parameter.data += 0.05 * torch.randn_like(parameter)
    return model


@pytest.fixture
def images():
    return torch.randn(4, 1, 192, 192, generator=torch.Generator().manual_seed(1))


@pytest.fixture(params=["test_resnet", "grid_transformer"])
def kind(request):
    grid = {"grid": GRID} if request.param == "grid_transformer" else {}
    return {"name": request.param, **grid}, (3, 3) if grid else (1, 1)


def test_of_two_classes_the_answers_logit_is_explained(images, kind):
    """The grid's maps, which begin behind the ResNet, are those of hooks on the whole network."""
    settings, grid = kind
    model = network(**settings)
    found = evidence(model, images, ANSWERS)
    expected = gradcam(model, cam_layer(model), images, ANSWERS, grid)
    assert found.cam.positive.any()
    assert torch.equal(found.cam.positive, expected.positive)
    assert torch.allclose(found.cam.maps, expected.maps, atol=1e-4)
    assert "explained is the logit of the model's own answer" in method(model)


def test_of_three_classes_the_log_odds_of_the_positive_ones_are(images, kind):
    settings, grid = kind
    model = network(**settings, classes=3)
    p = torch.softmax(model(images), dim=1)
    score = answer_score(model(images), ANSWERS)
    odds = torch.log((1 - p[:, 0]) / p[:, 0])
    assert torch.allclose(score, torch.where(torch.tensor(ANSWERS) == 1, odds, -odds), atol=1e-5)
    found = evidence(model, images, ANSWERS)

    def slowly(z):
        p = torch.softmax(z, dim=1)
        return torch.stack([torch.log(1 - q[0]) - torch.log(q[0]) for q in p]) * torch.tensor(
            [1 if a else -1 for a in ANSWERS]
        )

    expected = gradcam(model, cam_layer(model), images, slowly, grid)
    assert found.cam.positive.any()
    assert torch.allclose(found.cam.maps, expected.maps, atol=1e-3)
    # the log odds are of both positive classes; one class's logit would have given other maps
    alone = gradcam(model, cam_layer(model), images, ANSWERS, grid)
    assert not torch.allclose(found.cam.maps, alone.maps, atol=0.05)
    assert "the log odds (positive classes against the rest)" in method(model)


def test_an_ordinal_network_is_explained_by_the_scale_that_is_cut(images, kind):
    """Through the cuts and back: the log odds of its three probabilities have the same gradient."""
    settings, grid = kind
    model = network(**settings, classes=3, ordinal=True)
    found = evidence(model, images, ANSWERS)
    expected = gradcam(model, cam_layer(model), images, lambda z: answer_score(z, ANSWERS), grid)
    assert found.cam.positive.any()
    assert torch.allclose(found.cam.maps, expected.maps, atol=1e-3)
    assert "the log odds (positive classes against the rest)" in method(model)


def test_a_grid_has_a_number_for_each_tile_beside_it(images):
    model = network(name="grid_transformer", grid=GRID)
    tiles = evidence(model, images, ANSWERS).tiles
    assert tiles is not None
    assert tiles.shape == (4, 3, 3)
    assert torch.equal(tiles.amax(dim=(1, 2)), torch.ones(4))
    assert (tiles > 0).all()
    assert evidence(network(name="test_resnet"), images, ANSWERS).tiles is None
    with torch.no_grad():
        for parameter in model.head.parameters():
            parameter.zero_()
    dark = evidence(model, images, ANSWERS)
    assert not dark.tiles.any()
    assert not dark.cam.maps.any()
    assert not dark.cam.positive.any()


def test_a_grids_picture_is_scaled_once_and_its_tiles_are_not():
    """One tile with all evidence: the others stay dark, where scaling each would light them up."""
    signed = torch.full((1, 6, 6), 1e-3)
    signed[0, :2, :2] = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    signed[0, 4:, 4:] = -5.0
    cam = picture(signed, (6, 6))
    assert cam.maps[0, 1, 1] == 1
    assert cam.maps[0, 2:].max() < 1e-3
    assert not cam.maps[0, 4:, 4:].any()


@pytest.mark.parametrize("least", [1e-12, 1.0, 1e12])
def test_how_large_evidence_is_does_not_matter(least):
    signed = least * torch.tensor([[[-1.0, 2.0], [3.0, 5.0]]])
    cam = picture(signed, (2, 2))
    assert torch.allclose(cam.maps, torch.tensor([[[0.0, 0.4], [0.6, 1.0]]]), atol=1e-6)
    assert cam.positive.all()


def test_rounding_is_not_blown_up():
    signed = torch.full((1, 2, 2), 3.0)
    signed[0, 0, 0] += 3e-7
    assert not picture(signed, (4, 4)).maps.any()


@pytest.mark.parametrize("ordinal", [False, True])
def test_random_weights_change_a_grids_maps_from_the_top_down(images, ordinal):
    model = network(name="grid_transformer", grid=GRID, classes=3, ordinal=ordinal)
    names = [name.rsplit(".", 1)[-1] for name in blocks(model)]
    assert names == ["head", "layers", "tiles"], "local heads have no say in the answer"
    own = evidence(model, images, ANSWERS).cam.maps
    for upto in (1, 2, 3):
        other = evidence(randomised(model, 0, blocks(model)[:upto]), images, ANSWERS).cam.maps
        assert not torch.allclose(own, other)


def test_answers_are_0_or_1():
    for logits in (torch.zeros(2, 3), torch.zeros(2, 2)):
        with pytest.raises(ValueError, match="class 2"):
            answer_score(logits, [0, 2])
        with pytest.raises(ValueError, match="give one for each"):
            answer_score(logits, [0])
    assert class_logit(torch.tensor([1.0, 2.0]), [0, 1]).tolist() == [-1.0, 2.0]
