"""Grad-CAM against closed forms, and its promises about classes, scale and empty maps."""

import numpy as np
import pytest
import timm
import torch
from torch import nn
from torch.nn.functional import interpolate

from eval.pictures.gradcam import class_logit, gradcam
from tests.eval.pictures.slow import bilinear, by_finite_differences, scaled
from training.config import Model
from training.models import build, cam_layer


class PoolAndLinear(nn.Module):
    """Features, global average pooling, a linear head: Grad-CAM is the class activation map."""

    def __init__(self, channels=6, outputs=2):
        super().__init__()
        self.features = nn.Conv2d(1, channels, 3, stride=2, padding=1)
        self.head = nn.Linear(channels, outputs)

    def forward(self, x):
        return self.head(self.features(x).mean(dim=(2, 3)))


@pytest.fixture
def model():
    torch.manual_seed(0)
    return PoolAndLinear().eval()


@pytest.fixture
def images():
    return torch.randn(3, 1, 16, 20, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("target", [0, 1])
def test_is_the_class_activation_map_of_pooling_and_a_linear_head(model, images, target):
    cam = gradcam(model, model.features, images, target)
    with torch.no_grad():
        # dz/dA_c = w_c / (h w): constant over the map, so only its sign and ratios matter
        raw = torch.einsum("c,bchw->bhw", model.head.weight[target], model.features(images)).relu()
    raw = raw - raw.amin(dim=(1, 2), keepdim=True)
    raw = raw / raw.amax(dim=(1, 2), keepdim=True)
    expected = interpolate(raw[:, None], size=(16, 20), mode="bilinear", align_corners=False)[:, 0]
    assert torch.allclose(cam.maps, expected, atol=1e-4)
    assert cam.maps.shape == (3, 16, 20)
    assert cam.positive.all()


def test_a_known_spot():
    """One channel passes the picture on, one is ignored: the map is the bright square."""
    model = PoolAndLinear(channels=2).eval()
    model.features = nn.Conv2d(1, 2, 1, bias=False)
    with torch.no_grad():
        model.features.weight.copy_(torch.tensor([1.0, 7.0]).reshape(2, 1, 1, 1))
        model.head.weight.copy_(torch.tensor([[0.0, 0.0], [2.0, 0.0]]))
    image = torch.zeros(1, 1, 8, 8)
    image[..., 2:4, 5:7] = 3.0
    cam = gradcam(model, model.features, image, 1)
    assert torch.allclose(cam.maps, image[:, 0] / 3.0, atol=1e-6)


def test_no_positive_evidence_is_zero_and_says_so(model, images):
    with torch.no_grad():
        model.features.weight.abs_()
        model.features.bias.fill_(0.1)
        model.head.weight.fill_(-1.0)
    cam = gradcam(model, model.features, images.abs(), 1)
    assert not cam.maps.any()
    assert not cam.positive.any()


def test_one_logit_explains_both_classes(images):
    torch.manual_seed(2)
    one, two = PoolAndLinear(outputs=1).eval(), PoolAndLinear(outputs=2).eval()
    two.features.load_state_dict(one.features.state_dict())
    with torch.no_grad():
        two.head.weight.copy_(torch.cat([-one.head.weight, one.head.weight]))
    for target in (0, 1):
        a = gradcam(one, one.features, images, target).maps
        assert torch.allclose(a, gradcam(two, two.features, images, target).maps, atol=1e-6)


def test_the_logit_is_explained_not_the_saturated_probability(model, images):
    with torch.no_grad():
        model.head.bias.copy_(torch.tensor([-200.0, 200.0]))
    assert torch.softmax(model(images), 1)[:, 1].eq(1).all()
    assert gradcam(model, model.features, images, 1).positive.all()


def test_frozen_weights_and_no_grad_do_not_matter(model, images):
    expected = gradcam(model, model.features, images, 1).maps
    model.requires_grad_(False)
    with torch.no_grad():
        assert torch.equal(gradcam(model, model.features, images, 1).maps, expected)
    assert not model.features._forward_hooks


def test_one_image_is_the_same_alone_and_in_a_batch(model, images):
    together = gradcam(model, model.features, images, 1).maps
    assert torch.allclose(together[1:2], gradcam(model, model.features, images[1:2], 1).maps)


@pytest.mark.parametrize(
    ("shape", "target"),
    [
        *(((2, 3), 3), ((2, 2, 1), 0), ((2, 2), 2), ((2, 1), 2), ((2,), -1), ((2, 0), 0), ((), 0)),
        *(((2, 3), [0, 3]), ((2, 3), [0]), ((2,), [0, 1, 1])),
    ],
)
def test_refuses_other_logits(shape, target):
    with pytest.raises(ValueError, match=r"logits|class"):
        class_logit(torch.zeros(shape), target)


def test_refuses_what_it_cannot_explain(model, images):
    with pytest.raises(ValueError, match="must run once"):
        gradcam(model, model.head, images, 1)
    with pytest.raises(ValueError, match="must run once"):
        gradcam(model, nn.Conv2d(1, 1, 1), images, 1)
    with pytest.raises(ValueError, match="eval"):
        gradcam(model.train(), model.features, images, 1)


def test_the_least_is_zero_and_the_most_is_one_where_evidence_is_everywhere():
    model = PoolAndLinear(channels=1).eval()
    model.features = nn.Conv2d(1, 1, 1, bias=False)
    with torch.no_grad():
        model.features.weight.fill_(1.0)
        model.head.weight.copy_(torch.tensor([[0.0], [1.0]]))
    image = torch.tensor([[5.0, 6.0], [7.0, 9.0]])[None, None]
    expected = torch.tensor([[[0.0, 0.25], [0.5, 1.0]]])
    assert torch.allclose(gradcam(model, model.features, image, 1).maps, expected, atol=1e-5)


@pytest.mark.parametrize(
    "name",
    [
        *("test_byobnet", "test_convnext", "test_efficientnet", "test_resnet"),
    ],
)
def test_over_the_family_it_is_what_finite_differences_say(name):
    """Every kind of network, as training builds it, at the layer that training names."""
    torch.manual_seed(3)
    model = build(Model(name=name, pretrained="none"), load=False).eval().double()
    for parameter in model.parameters():  # a fresh network's norms and scales leave maps flat
        parameter.data += 0.05 * torch.randn(parameter.shape, dtype=torch.float64)
    image = torch.randn(1, 1, 64, 64, dtype=torch.float64)
    layer = cam_layer(model)
    cam = gradcam(model, layer, image, 1)
    slow = by_finite_differences(model, layer, image, 1)
    assert np.abs(cam.maps.numpy() - slow).max() < 2e-4
    assert not layer._forward_hooks


def test_tokens_of_a_transformer_are_put_back_into_their_places():
    """Against the same arithmetic on a picture: [B, T, C] behind a class token is [B, C, h, w]."""
    torch.manual_seed(6)
    model = timm.create_model("test_vit", in_chans=1, num_classes=3, pretrained=False).eval()
    images = torch.randn(2, 1, 160, 160)
    layer = model.get_submodule("blocks")[-1].norm1
    kept = []
    handle = layer.register_forward_hook(lambda _m, _i, out: kept.append(out))
    logit = model(images)[:, 2].sum()
    handle.remove()
    (gradient,) = torch.autograd.grad(logit, kept[0])
    expected = []
    for a, g in zip(kept[0].detach().numpy(), gradient.numpy(), strict=True):
        raw = np.zeros((10, 10))
        for token in range(100):
            raw[token // 10, token % 10] = a[1 + token] @ g[1:].mean(axis=0)
        expected.append(bilinear(scaled(np.maximum(raw, 0)), 160, 160))
    cam = gradcam(model, layer, images, 2)
    assert np.abs(cam.maps.numpy() - np.stack(expected)).max() < 1e-3
    with pytest.raises(ValueError, match=r"only the class token counts.*norm1"):
        gradcam(model, cam_layer(model), images, 2)


def test_channels_last_are_turned_where_the_model_says_so():
    torch.manual_seed(7)
    model = timm.create_model("test_mambaout", in_chans=1, num_classes=2, pretrained=False).eval()
    images = torch.randn(1, 1, 64, 64)
    kept = []
    layer = cam_layer(model)
    handle = layer.register_forward_hook(lambda _m, _i, out: kept.append(out))
    logit = model(images)[:, 1].sum()
    handle.remove()
    (gradient,) = torch.autograd.grad(logit, kept[0])
    activation = kept[0].detach().numpy()[0]  # (h, w, C)
    raw = np.maximum(activation @ gradient.numpy()[0].mean(axis=(0, 1)), 0)
    cam = gradcam(model, layer, images, 1)
    assert np.abs(cam.maps.numpy()[0] - bilinear(scaled(raw), 64, 64)).max() < 1e-3


def test_what_follows_in_place_does_not_change_what_is_explained():
    """The kept activation is the layer's own, though ReLU then works on the same memory."""
    torch.manual_seed(8)
    conv, head = nn.Conv2d(1, 4, 3, padding=1), nn.Linear(4, 2)
    maps = []
    for inplace in (False, True):
        model = nn.Sequential(
            *(conv, nn.ReLU(inplace=inplace), nn.AdaptiveAvgPool2d(1), nn.Flatten(), head)
        ).eval()
        maps.append(gradcam(model, conv, torch.ones(1, 1, 6, 6), 1).maps)
    assert torch.equal(*maps)


def test_damaged_weights_are_said_and_not_drawn(model, images):
    with torch.no_grad():
        model.head.weight[1, 0] = float("nan")
    with pytest.raises(ValueError, match="not finite"):
        gradcam(model, model.features, images, 1)
