"""Grad-CAM against closed forms, and its promises about classes, scale and empty maps."""

import numpy as np
import pytest
import timm
import torch
from torch import nn
from torch.nn.functional import interpolate

from eval.pictures.gradcam import class_logit, gradcam
from training.config import Model
from training.models import build, cam_layer
from training.recipes import recipe


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


def by_finite_differences(model, layer, images, target, grid=(1, 1)):
    """Grad-CAM without a gradient: each channel is raised everywhere at once, and lowered.

    ``w_c = (y(A + t 1_c) - y(A - t 1_c)) / (2 t h w)``, then the definition, in numpy, blurred to
    the input's size by a formula of its own.
    """
    with torch.no_grad():
        kept = []
        handle = layer.register_forward_hook(lambda _m, _i, out: kept.append(out))
        model(images)
        handle.remove()
        activation = kept[0]
        n, channels, h, w = activation.shape
        weights = torch.zeros(n, channels, dtype=activation.dtype)
        blocks = n // len(images)
        for row in range(n):
            image, block = divmod(row, blocks)
            copies = images[image : image + 1].expand(channels, -1, -1, -1)
            at = torch.arange(channels)
            y = []
            for t in (1e-5, -1e-5):  # copy c of the image has its channel c bumped
                bump = torch.zeros(channels, blocks, channels, 1, 1, dtype=images.dtype)
                bump[at, block, at] = t
                handle = layer.register_forward_hook(
                    lambda _m, _i, out, b=bump: out + b.flatten(0, 1)
                )
                y.append(model(copies)[:, target])
                handle.remove()
            weights[row] = (y[0] - y[1]) / (2e-5 * h * w)
    raw = np.einsum("nc,nchw->nhw", weights.numpy(), activation.numpy())
    rows, columns = grid
    whole = [
        np.block([[raw[(i * rows + r) * columns + k] for k in range(columns)] for r in range(rows)])
        for i in range(len(images))
    ]
    return np.stack([bilinear(scaled(np.maximum(m, 0)), *images.shape[2:]) for m in whole])


def scaled(m):
    return (m - m.min()) / (1e-7 + (m - m.min()).max())


def bilinear(m, height, width):
    """Between the centres of pixels, edges held: the textbook's, one axis after the other."""
    for axis, n in ((0, height), (1, width)):
        at = (np.arange(n) + 0.5) * m.shape[axis] / n - 0.5
        at = at.clip(0, m.shape[axis] - 1)
        low = np.floor(at).astype(int)
        high = np.minimum(low + 1, m.shape[axis] - 1)
        part = (at - low).reshape((-1, 1) if axis == 0 else (1, -1))
        m = np.take(m, low, axis) * (1 - part) + np.take(m, high, axis) * part
    return m


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


class Attending(nn.Module):
    """Blocks of a picture through one small convolution each, mixed by attention, many classes."""

    def __init__(self, grid=(2, 3), side=8, classes=4):
        super().__init__()
        self.grid, self.side = grid, side
        self.features = nn.Conv2d(1, 3, 3, stride=2, padding=1)
        self.query, self.key = nn.Linear(3, 3), nn.Linear(3, 3)
        self.head = nn.Linear(3, classes)
        self.seen = nn.Identity()

    def forward(self, x):
        rows, columns = self.grid
        # x: (B, 1, rows * s, columns * s) -> (B * rows * columns, 1, s, s)
        blocks = x.unflatten(2, (rows, self.side)).unflatten(4, (columns, self.side))
        blocks = blocks.permute(0, 2, 4, 1, 3, 5).flatten(0, 2)
        maps = self.seen(torch.tanh(self.features(blocks)))
        tokens = maps.mean(dim=(2, 3)).unflatten(0, (len(x), rows * columns))
        attention = torch.softmax(self.query(tokens) @ self.key(tokens).transpose(1, 2), -1)
        return self.head((attention @ tokens).mean(dim=1))


@pytest.fixture
def attending():
    torch.manual_seed(5)
    return Attending().eval().double()


@pytest.mark.parametrize("target", range(4))
def test_a_grid_of_blocks_through_attention_is_what_finite_differences_say(attending, target):
    images = torch.randn(2, 1, 16, 24, dtype=torch.float64)
    cam = gradcam(attending, attending.seen, images, target, grid=(2, 3))
    slow = by_finite_differences(attending, attending.seen, images, target, (2, 3))
    assert cam.maps.shape == (2, 16, 24)
    assert np.abs(cam.maps.numpy() - slow).max() < 1e-4


@pytest.mark.parametrize("target", [0, 3])
def test_blocks_put_together_by_the_model_are_the_same(attending, target):
    """The same network, its maps seen as one picture: weights stay those of each block."""
    images = torch.randn(2, 1, 16, 24, dtype=torch.float64)
    expected = gradcam(attending, attending.seen, images, target, (2, 3)).maps

    class Together(nn.Module):
        def forward(self, blocks):  # (12, 3, 4, 4) -> (2, 3, 8, 12), seen, and back
            whole = blocks.unflatten(0, (2, 2, 3)).permute(0, 3, 1, 4, 2, 5)
            seen = self.seen(whole.flatten(4, 5).flatten(2, 3))
            back = seen.unflatten(2, (2, 4)).unflatten(4, (3, 4)).permute(0, 2, 4, 1, 3, 5)
            return back.flatten(0, 2)

        def __init__(self):
            super().__init__()
            self.seen = nn.Identity()

    together = attending.seen = Together()
    found = gradcam(attending, together.seen, images, target, (2, 3)).maps
    assert torch.allclose(found, expected)
    with pytest.raises(ValueError, match="do not divide"):
        gradcam(attending, together.seen, images, target, (3, 5))


def test_the_grid_model_of_training_is_explained_block_by_block():
    """Its own layer, its own grid; a bump of one channel in one tile gives that tile's weight."""
    torch.manual_seed(9)
    model = build(recipe("li2026:smoke").model, load=False)
    model = model.eval().double()
    n = model.grid.grid
    images = torch.randn(1, 1, 32 * n, 32 * n, dtype=torch.float64)
    layer = cam_layer(model)
    kept = []
    handle = layer.register_forward_hook(lambda _m, _i, out: kept.append(out.detach()))
    model(images)
    handle.remove()
    side = kept[0].shape[2] // n
    raw = torch.zeros(kept[0].shape[2:], dtype=torch.float64)
    features = model.pooled(kept[0]).requires_grad_()
    # the head sees a tile's mean only: dy/dA_c is the token's gradient over the tile's size
    logit = model.head(model.encode(features)[:, 0])[0, 1]
    (token,) = torch.autograd.grad(logit, features)
    for k in range(n * n):
        rows = slice(k // n * side, (k // n + 1) * side)
        columns = slice(k % n * side, (k % n + 1) * side)
        raw[rows, columns] = torch.einsum("c,chw->hw", token[0, k], kept[0][0, :, rows, columns])
    expected = bilinear(scaled(raw.relu().numpy()), *images.shape[2:])
    cam = gradcam(model, layer, images, 1, grid=(n, n))
    assert cam.positive[0]
    assert np.abs(cam.maps[0].numpy() - expected).max() < 0.01


def test_blocks_are_scaled_together_and_a_blank_one_stays_dark(attending):
    """One bright block: scaled block by block, every block would reach 1."""
    with torch.no_grad():
        attending.features.bias.zero_()
    images = torch.zeros(1, 1, 16, 24, dtype=torch.float64)
    images[..., :8, 16:] = torch.randn(8, 8, dtype=torch.float64).abs()
    bright = [
        cam.maps[0]
        for t in range(4)
        if (cam := gradcam(attending, attending.seen, images, t, (2, 3))).positive[0]
    ]
    assert bright
    for m in bright:
        # bilinear resizing carries half a pixel of 4x4 over the border
        assert m[9:].max() < 1e-6
        assert m[:, :15].max() < 1e-6
        assert m[:8, 16:].max() > 0.5


def test_a_grid_that_does_not_fit_is_refused(attending):
    images = torch.randn(2, 1, 16, 24, dtype=torch.float64)
    with pytest.raises(ValueError, match=r"12 maps for 2 images in a grid of 1x1"):
        gradcam(attending, attending.seen, images, 1)


def test_each_image_may_have_a_class_of_its_own(attending):
    images = torch.randn(4, 1, 16, 24, dtype=torch.float64)
    together = gradcam(attending, attending.seen, images, [3, 0, 2, 1], (2, 3)).maps
    for i, target in enumerate([3, 0, 2, 1]):
        alone = gradcam(attending, attending.seen, images[i : i + 1], target, (2, 3)).maps
        assert torch.allclose(together[i : i + 1], alone)


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
