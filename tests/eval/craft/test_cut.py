"""A network put together from its halves is the network, wherever it is cut."""

import pytest
import timm
import torch
from timm.models.vgg import VGG

from eval.craft.cut import cut, positive, remainder
from tests.eval.craft.planted import Small
from training.face import Face
from training.models.face2bone import Face2Bone


def face2bone(facenet):
    torch.manual_seed(0)
    small = {"widths": (8, 8, 16, 32), "depths": (1, 1, 1, 1), "heads": (1, 2, 2, 4)}
    return Face2Bone(Face(**({"facenet": facenet, "hilo_heads": (2, 2, 4, 4)} | small)), 3).eval()


def whole(model, images, face):
    return model(images) if face is None else model(images, face)


@pytest.mark.parametrize("back", [0, 1, 2])
@pytest.mark.parametrize("kind", ["small", "alone", "told", "test_resnet", "test_convnext", "vgg"])
def test_halves_make_the_whole(kind, back):
    torch.manual_seed(1)
    side, face = 64, None
    if kind == "small":
        model = Small(0).eval()
    elif kind == "alone":
        model = face2bone("none")
    elif kind == "told":
        model, face = face2bone("/not/read.safetensors"), torch.randn(2, 512)
    elif kind == "vgg":
        model = VGG([4, "M", 8, "M", 8, "M"], num_classes=3, mlp_ratio=0.01)
        model = model.eval()
    else:
        model, side = timm.create_model(kind, num_classes=3).eval(), 96
    images = torch.randn(2, 3, side, side)
    halves = cut(model, back)
    with torch.no_grad():
        maps = halves.below(images, face)
        assert maps.ndim == 4
        torch.testing.assert_close(halves.above(maps, face), whole(model, images, face))
        last = cut(model)
        torch.testing.assert_close(
            halves.onward(maps, face), last.below(images, face), rtol=1e-5, atol=1e-6
        )
        torch.testing.assert_close(positive(maps) - remainder(maps), maps)
        assert not (positive(maps) * remainder(maps)).any()
        other = halves.above(maps + torch.randn_like(maps), face)
    assert not torch.allclose(other, whole(model, images, face)), "the map is what counts"
    assert not any(len(m._forward_hooks) for m in model.modules()), "hooks are taken away"


def test_gradients_reach_an_earlier_map():
    for model, face in (
        (timm.create_model("test_resnet", num_classes=3).eval(), None),
        (face2bone("/not/read.safetensors"), torch.randn(2, 512)),
    ):
        halves = cut(model, 1)
        maps = halves.below(torch.randn(2, 3, 96, 96), face).detach().requires_grad_()
        (gradient,) = torch.autograd.grad(halves.above(maps, face).sum(), maps)
        assert gradient.abs().sum() > 0


def test_what_cannot_be_cut_is_refused():
    with pytest.raises(ValueError, match="has tokens and no feature maps"):
        cut(timm.create_model("test_vit", num_classes=3).eval())
    with pytest.raises(ValueError, match="Linear cannot be cut"):
        cut(torch.nn.Linear(2, 2).eval())
    with pytest.raises(ValueError, match=r"call model.eval\(\)"):
        cut(Small(0).train())
    with pytest.raises(ValueError, match="this model has 3 stages"):
        cut(Small(0).eval(), 3)
    with pytest.raises(ValueError, match="back=-1"):
        cut(Small(0).eval(), -1)
    resnet = timm.create_model("test_resnet", num_classes=3).eval()
    for back in (0, 1):
        with pytest.raises(ValueError, match="no face branch"):
            cut(resnet, back).below(torch.zeros(1, 3, 64, 64), torch.zeros(1, 512))
