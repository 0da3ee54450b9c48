from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file

from data_sharding.schema import sha256_file
from training.config import Model
from training.models.tile_resnet import TileResNet, tile_resnet


def config(path: Path | str = "none", **other) -> Model:
    sha256 = sha256_file(path) if isinstance(path, Path) else None
    return Model(
        **({"name": "grid_transformer", "pretrained": str(path), "sha256": sha256} | other)
    )


@pytest.fixture(scope="module")
def rgb() -> torch.nn.Module:
    """torchvision's own ResNet-18, whose random statistics are not those of a fresh one."""
    torch.manual_seed(0)
    model = torchvision.models.resnet18(weights=None)
    for name, buffer in model.named_buffers():
        if "num_batches" not in name:
            buffer.add_(torch.rand_like(buffer))
    return model.eval()


@pytest.fixture(scope="module")
def weights(rgb, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "resnet18.safetensors"
    save_file(rgb.state_dict(), path)
    return path


def test_a_grey_tile_is_seen_as_the_three_channels_would_have_seen_it(rgb, weights):
    made = tile_resnet(config(weights), 512, load=True).eval()
    x = torch.randn(2, 1, 64, 64)
    with torch.no_grad():
        three = x.repeat(1, 3, 1, 1)
        for part in ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4"):
            three = getattr(rgb, part)(three)
        torch.testing.assert_close(made(x), three, rtol=1e-4, atol=1e-5)
    assert three.shape == (2, 512, 2, 2)
    assert sum(p.numel() for p in made.parameters()) == 11_170_240


def test_weights_of_one_channel_are_taken_as_they_are(tmp_path):
    torch.manual_seed(1)
    one = timm.create_model("resnet18", in_chans=1, num_classes=0)
    save_file(one.state_dict(), tmp_path / "one.safetensors")
    made = tile_resnet(config(tmp_path / "one.safetensors"), 512, load=True)
    for name, value in one.state_dict().items():
        assert torch.equal(made.cnn.state_dict()[name], value), name


def test_nothing_is_loaded_where_a_checkpoint_follows(weights):
    torch.manual_seed(2)
    a = tile_resnet(config(weights), 512, load=False).state_dict()
    torch.manual_seed(2)
    b = tile_resnet(config(), 512, load=True).state_dict()
    assert all(torch.equal(a[k], b[k]) for k in a)


def changed(weights: Path, folder: Path, change) -> Path:
    from safetensors.torch import load_file

    state = load_file(weights)
    change(state)
    save_file(state, folder / "changed.safetensors")
    return folder / "changed.safetensors"


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s.pop("layer3.0.conv1.weight"),
        lambda s: s.pop("conv1.weight"),
        lambda s: s.update({"layer5.weight": torch.zeros(3)}),
        lambda s: s.update({"layer1.0.bn1.weight": torch.zeros(32)}),
        lambda s: s.update({"conv1.weight": torch.zeros(64, 5, 7, 7)}),
        lambda s: s.clear() or s.update({"stem.0.weight": torch.zeros(3)}),
    ],
    ids=["missing", "no first", "surplus", "of another width", "of five channels", "of another"],
)
def test_weights_that_do_not_fit_are_refused(weights, tmp_path, change):
    """timm would leave what is missing random."""
    path = changed(weights, tmp_path, change)
    with pytest.raises(ValueError, match=r"changed\.safetensors: not the weights"):
        tile_resnet(config(path), 512, load=True)


def test_a_torn_file_another_hash_and_a_narrow_network_are_refused(weights, tmp_path):
    torn = tmp_path / "torn.safetensors"
    torn.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"torn\.safetensors"):
        tile_resnet(config(torn), 512, load=True)
    with pytest.raises(ValueError, match="not the file you meant"):
        tile_resnet(config(weights, sha256="0" * 64), 512, load=True)
    with pytest.raises(ValueError, match="not the weights"):
        tile_resnet(config(weights), 64, load=True)
    with pytest.raises(ValueError, match="cannot be fetched"):
        tile_resnet(config("tag"), 512, load=True)


def small(seed: int = 0, drop_path: float = 0.0) -> TileResNet:
    torch.manual_seed(seed)
    made = tile_resnet(config(drop_path=drop_path), 32, load=False).train()
    for name, p in made.named_parameters():
        if name.endswith("bn2.weight"):  # zero at the start: nothing inside a block would learn
            torch.nn.init.ones_(p)
    return made


@pytest.mark.parametrize("drop_path", [0.0, 0.5])
def test_checkpointing_changes_no_bit_of_gradients_and_statistics(drop_path):
    x = torch.randn(6, 1, 64, 64)
    found = []
    for checkpointing in (False, True):
        made = small(drop_path=drop_path)
        made.checkpointing = checkpointing
        fed = x.clone().requires_grad_()
        for step in range(2):
            torch.manual_seed(step)  # of the paths that are dropped
            made(fed).square().mean().backward()
        state = [*made.state_dict().values()]
        found.append([fed.grad, *(p.grad for p in made.parameters()), *state])
    for plain, checkpointed in zip(*found, strict=True):
        assert plain is not None
        assert plain.abs().sum() > 0 or plain.ndim == 1
        assert torch.equal(plain, checkpointed)
    assert made.cnn.get_buffer("bn1.num_batches_tracked") == 2


def test_an_answer_does_not_depend_on_how_many_are_asked_at_a_time(monkeypatch):
    made, x = small().eval(), torch.randn(7, 1, 64, 64)
    asked = []
    made.cnn.get_submodule("conv1").register_forward_hook(lambda m, i, o: asked.append(len(o)))
    monkeypatch.setattr("training.models.tile_resnet.ANSWERED", 3)
    with torch.no_grad():
        found = made(x)
    torch.testing.assert_close(found, made(x))
    made.train()
    with torch.no_grad():  # batch statistics are of all tiles
        made(x)
    assert asked == [3, 3, 1, 7, 7]


def test_checkpointing_in_eval_mode_leaves_the_statistics_alone():
    made = small().eval()
    made.checkpointing = True
    before = [b.clone() for b in made.buffers()]
    made(torch.randn(2, 1, 64, 64)).sum().backward()
    with torch.no_grad():
        made(torch.randn(2, 1, 64, 64))
    assert all(torch.equal(a, b) for a, b in zip(made.buffers(), before, strict=True))
