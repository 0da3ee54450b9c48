from __future__ import annotations

import copy

import pytest
import torch
from safetensors.torch import load_file, save_file

from data_sharding.schema import sha256_file
from training.checkpoint import Checkpoints, Position, load_weights, restore, save_weights
from training.config import Model
from training.models import build, cam_layer
from training.preprocess import Preprocessor

TINY = Model(name="test_convnext", pretrained="none")
PRE = Preprocessor(size=32, mean=0.4, std=0.2, pixels="drawn/1", shape=(32, 32))


def step(model, optimizer, seed):
    torch.manual_seed(seed)
    model(torch.randn(4, 1, 32, 32)).square().mean().backward()
    optimizer.step()
    optimizer.zero_grad()


def test_training_goes_on_bit_for_bit_after_a_restore(tmp_path):
    torch.manual_seed(0)
    model = build(TINY)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    step(model, optimizer, 1)
    store = Checkpoints(tmp_path)
    store.save(Position(1, 2, 3, 0.7, 0), model, model, model, optimizer)
    step(model, optimizer, 2)
    other = build(TINY)
    other_optimizer = torch.optim.AdamW(other.parameters(), lr=1e-2)
    newest = store.newest()
    assert newest is not None
    at = restore(newest, other, copy.deepcopy(other), copy.deepcopy(other), other_optimizer)
    assert at == Position(1, 2, 3, 0.7, 0)
    step(other, other_optimizer, 2)
    for a, b in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_torn_checkpoint_is_passed_over_aloud_and_old_ones_are_pruned(tmp_path):
    model = build(TINY)
    optimizer = torch.optim.AdamW(model.parameters())
    step(model, optimizer, 0)
    store = Checkpoints(tmp_path, keep=2)
    for n in (1, 2, 3):
        store.save(Position(0, n, n), model, model, model, optimizer)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-00000002", "step-00000003"]
    weights = tmp_path / "step-00000003" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    with pytest.warns(UserWarning, match="torn"):
        assert store.newest() == tmp_path / "step-00000002"
    store.save(Position(0, 3, 3), model, model, model, optimizer)  # done again, in its place
    assert store.newest() == tmp_path / "step-00000003"
    store.remove()
    assert store.newest() is None


def test_weights_carry_their_preprocessing_and_are_checked(tmp_path):
    torch.manual_seed(0)
    model = build(TINY).eval()
    folder = tmp_path / "weights"
    save_weights(folder, model, TINY, PRE, {"temperature": 1.0}, {"threshold": 0.5})
    again, pre = load_weights(folder)
    x = torch.randn(2, 1, 32, 32)
    assert torch.equal(again(x), model(x))
    assert pre == PRE
    with pytest.raises(ValueError, match="pack it"):
        pre.resize(torch.zeros(64, 64, dtype=torch.uint8).numpy())
    (folder / "preprocessor.json").write_text("[]")
    with pytest.raises(ValueError, match=r"preprocessor\.json"):
        load_weights(folder)
    tensors = load_file(folder / "model.safetensors")
    save_file({k: v + 1 for k, v in tensors.items()}, folder / "model.safetensors")
    with pytest.raises(ValueError, match="not the file"):
        load_weights(folder)


def test_pretrained_weights_are_loaded_from_a_file_by_hash_or_refused(tmp_path):
    import timm

    torch.manual_seed(3)
    rgb = timm.create_model("test_convnext", num_classes=1000)
    path = tmp_path / "imagenet.safetensors"
    save_file(rgb.state_dict(), path)
    sha256 = sha256_file(path)
    model = build(Model(name="test_convnext", pretrained=str(path), sha256=sha256))
    stem = dict(model.named_parameters())["stem.0.weight"]
    expected = dict(rgb.named_parameters())["stem.0.weight"].sum(1, keepdim=True)
    torch.testing.assert_close(stem, expected)  # one channel: summed over RGB
    for bad, says in [
        ({"pretrained": str(path)}, "sha256 is required"),
        ({"pretrained": str(path), "sha256": "0" * 64}, "not the file you meant"),
        ({"pretrained": str(tmp_path / "no.safetensors"), "sha256": sha256}, "no such file"),
        ({"pretrained": str(tmp_path / "x.pth"), "sha256": sha256}, "only .safetensors"),
        ({"name": "test_convnxt", "pretrained": "none"}, "timm has none"),
    ]:
        with pytest.raises(ValueError, match=says):
            build(Model(**({"name": "test_convnext"} | bad)))


def test_a_tag_that_cannot_be_fetched_is_refused_not_random():
    with pytest.raises(ValueError, match="cannot be fetched"):
        build(Model(name="test_resnet.r160_in1k", pretrained="tag"))


def test_the_recipes_networks_have_the_published_size_and_a_cam_layer():
    with torch.device("meta"):
        model = build(Model(name="convnext_small.fb_in1k", pretrained="none"))
    # shared count: 49,452,385 for one channel and one logit; a second logit adds 768 + 1.
    assert sum(p.numel() for p in model.parameters()) == 49_452_385 + 769
    assert cam_layer(model) is model.get_submodule("stages.3")
