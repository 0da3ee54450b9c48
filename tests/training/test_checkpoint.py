from __future__ import annotations

import json
import math
import resource

import pytest
import torch
from safetensors.torch import load_file, save_file

from data_sharding.schema import sha256_file
from training.batch import Batch
from training.checkpoint import Checkpoints, Position, load, load_weights, on_cpu, save_weights
from training.config import Model
from training.models import build, cam_layer
from training.overrides import override
from training.preprocess import Preprocessor
from training.recipes import recipe
from training.strategies.replicated import Replicated
from training.tasks import Supervised
from training.world import alone

TINY = Model(name="test_convnext", pretrained="none")
PRE = Preprocessor(size=32, mean=0.4, std=0.2, pixels="drawn/1", shape=(32, 32))


def strategy(model, *changes):
    config = override(recipe("ospenscreen:smoke"), changes)
    made = Replicated(alone(), config.compute, "float32")
    made.prepare(model, config.teacher)
    return made


def step(made, seed):
    generator = torch.Generator().manual_seed(seed)
    batch = Batch(
        torch.randn(4, 1, 32, 32, generator=generator), torch.tensor([0, 1, 0, 1]), torch.ones(4), 4
    )
    made.step(Supervised(), batch, 1e-2)


def tensors(made):
    model = on_cpu(made.model.state_dict())
    return dict.fromkeys(("model", "ema", "best"), model) | {"optimizer": made.optimizer_state()}


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_training_goes_on_bit_for_bit_after_a_restore(tmp_path, layout):
    def fresh():
        torch.manual_seed(0)
        return build(TINY).to(memory_format=layout)

    channels_last = f"compute.channels_last={layout == torch.channels_last}"
    calm = strategy(fresh(), channels_last)
    step(calm, 1)
    store = Checkpoints(tmp_path, of="run/teacher")
    store.save(Position(1, 2, 3, 0.7, 0), tensors(calm))
    step(calm, 2)  # while it is written
    store.wait()
    newest = store.newest()
    assert newest is not None
    at, saved = load(newest)
    assert at == Position(1, 2, 3, 0.7, 0)
    other = fresh()
    other.load_state_dict(saved["model"])
    again = strategy(other, channels_last)
    again.load_optimizer(saved["optimizer"])
    step(again, 2)
    for a, b in zip(calm.model.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.fixture
def saved():
    made = strategy(build(TINY))
    step(made, 0)
    return tensors(made)


def test_a_torn_checkpoint_is_passed_over_aloud_and_old_ones_are_pruned(tmp_path, saved, capsys):
    store = Checkpoints(tmp_path, keep=2)
    for n in (1, 2, 3):
        store.save(Position(0, n, n), saved)
    store.wait()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-00000002", "step-00000003"]
    weights = tmp_path / "step-00000003" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    assert Checkpoints(tmp_path).newest() == tmp_path / "step-00000002"
    assert "torn" in capsys.readouterr().out
    store.save(Position(0, 3, 3), saved)  # done again, in its place
    store.wait()
    assert store.newest() == tmp_path / "step-00000003"
    store.remove()
    assert Checkpoints(tmp_path).newest() is None


@pytest.mark.parametrize(
    "change",
    [
        {"position": {"epoch": 9, "step": 0, "global_step": 3, "best": None}},
        {"of": "another-run/teacher"},
        {"format": 2},
        {"digest": None},
        {"sha256": {}},
    ],
    ids=lambda c: next(iter(c)),
)
def test_what_was_edited_or_is_another_runs_is_passed_over(tmp_path, saved, change, capsys):
    store = Checkpoints(tmp_path, of="run/teacher")
    store.save(Position(0, 3, 3), saved)
    store.wait()
    folder = tmp_path / "step-00000003"
    state = json.loads((folder / "state.json").read_text())
    (folder / "state.json").write_text(json.dumps(state | change))
    assert Checkpoints(tmp_path, of="run/teacher").newest() is None
    assert "passed over" in capsys.readouterr().out
    (folder / "state.json").write_text("[]")
    assert Checkpoints(tmp_path, of="run/teacher").newest() is None


def test_a_full_disk_is_said_and_the_one_before_stays(tmp_path, saved, capsys):
    """A limit on the size of files fails as a full disk does, in the middle of a write."""
    store = Checkpoints(tmp_path)
    store.save(Position(0, 1, 1), saved)
    store.wait()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        store.save(Position(0, 2, 2), saved)
        with pytest.raises(ValueError, match="step 2 was not written"):
            store.wait()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "warning" in capsys.readouterr().out
    assert [p.name for p in tmp_path.iterdir()] == ["step-00000001"]
    store.save(Position(0, 3, 3, meter={"loss": math.nan}), saved)
    with pytest.raises(ValueError, match="step 3 was not written"):
        store.wait()


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


def test_a_file_that_lacks_a_part_of_the_network_is_refused(tmp_path):
    import timm

    tensors = timm.create_model("test_convnext", num_classes=1000).state_dict()
    for gone, lacks in (("head.fc.weight", 0), ("stages.1.blocks.0.norm.weight", 1)):
        kept = {k: v for k, v in tensors.items() if k != gone}
        save_file(kept, tmp_path / "part.safetensors")
        hashed = sha256_file(tmp_path / "part.safetensors")
        part = Model(
            name="test_convnext", pretrained=str(tmp_path / "part.safetensors"), sha256=hashed
        )
        if lacks:
            with pytest.raises(ValueError, match=f"lacks 1 of its tensors, such as {gone}"):
                build(part)
        else:  # another classifier takes its place anyway
            build(part)


def test_a_tag_that_cannot_be_fetched_is_refused_not_random():
    with pytest.raises(ValueError, match="cannot be fetched"):
        build(Model(name="test_resnet.r160_in1k", pretrained="tag"))


def test_the_recipes_networks_have_the_published_size_and_a_cam_layer():
    with torch.device("meta"):
        model = build(Model(name="convnext_small.fb_in1k", pretrained="none"))
    # shared count: 49,452,385 for one channel and one logit; a second logit adds 768 + 1.
    assert sum(p.numel() for p in model.parameters()) == 49_452_385 + 769
    assert cam_layer(model) is model.get_submodule("stages.3")
