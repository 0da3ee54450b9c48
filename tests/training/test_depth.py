"""Learning rates that fall with depth: timm's own groups as the reference, and a run with them."""

from __future__ import annotations

import copy
from importlib.util import find_spec

import pytest
import torch
from timm.optim import param_groups_layer_decay

from training.batch import Batch
from training.config import Model, Stage
from training.depth import rate_scales
from training.models import build
from training.optim import optimizer_for, set_rate
from training.overrides import override
from training.recipes import recipe
from training.strategies import strategy_for
from training.tasks import Supervised
from training.world import alone

STAGE = Stage(epochs=1, batch=8, lr=1e-2, layer_decay=0.7)
NAMES = ("test_convnext", "test_byobnet", "test_vit", "convnext_atto", "resnet18")


@pytest.mark.parametrize("name", NAMES)
def test_scales_and_decay_are_those_of_timm(name):
    model = build(Model(name=name, pretrained="none"))
    theirs = {
        id(p): (group["lr_scale"], group["weight_decay"])
        for group in param_groups_layer_decay(model, 0.05, layer_decay=0.7)
        for p in group["params"]
    }
    # timm lets a network keep some matrices from decaying, such as positions
    kept = getattr(model, "no_weight_decay", set)()
    optimizer = optimizer_for(model, STAGE)
    ours = {
        id(p): (group["scale"], group["weight_decay"])
        for group in optimizer.param_groups
        for p in group["params"]
    }
    assert ours.keys() == theirs.keys()
    for n, p in model.named_parameters():
        assert ours[id(p)][0] == pytest.approx(theirs[id(p)][0]), n
        assert ours[id(p)][1] == theirs[id(p)][1] or n in kept or p.ndim > 1, n
    scales = sorted({scale for scale, _ in ours.values()})
    assert scales[-1] == 1
    assert scales[0] < 0.7
    set_rate(optimizer, 0.01)
    assert {g["lr"] for g in optimizer.param_groups} == {0.01 * s for s in scales}


def test_without_it_there_are_two_groups_of_one_rate():
    model = build(Model(name="test_convnext", pretrained="none"))
    optimizer = optimizer_for(model, STAGE.model_copy(update={"layer_decay": 1.0}))
    matrices, vectors = optimizer.param_groups
    assert {p.ndim > 1 for p in matrices["params"]} == {True}
    assert {p.ndim > 1 for p in vectors["params"]} == {False}
    set_rate(optimizer, 0.1 + 0.2)
    assert [g["lr"] for g in optimizer.param_groups] == [0.1 + 0.2] * 2


def test_the_cuts_of_an_ordinal_model_are_its_classifier():
    plain = build(Model(name="test_convnext", pretrained="none"))
    ordinal = build(Model(name="test_convnext", pretrained="none", classes=3, ordinal=True))
    wanted = {f"network.{n}": s for n, s in rate_scales(plain, 0.5).items()}
    assert rate_scales(ordinal, 0.5) == wanted | {"low": 1.0, "gap": 1.0}


def test_a_network_without_layers_is_refused_with_a_fix():
    with pytest.raises(ValueError, match="set layer_decay=1"):
        rate_scales(torch.nn.Linear(2, 2), 0.9)
    for name in ("li2026", "face2bone"):
        with pytest.raises(ValueError, match=r"set image\.layer_decay=1"):
            override(recipe(name), ["image.layer_decay=0.8"])


def plain_steps(model: torch.nn.Module, batch: Batch, steps: int) -> dict[str, torch.Tensor]:
    """The same training written out: an optimizer of its own for each parameter."""
    scales = rate_scales(model, STAGE.layer_decay)
    decay = {n: STAGE.weight_decay if p.ndim > 1 else 0.0 for n, p in model.named_parameters()}
    optimizers = [
        torch.optim.AdamW([p], lr=0.01 * scales[n], weight_decay=decay[n])
        for n, p in model.named_parameters()
    ]
    for _ in range(steps):
        loss = torch.nn.functional.cross_entropy(model(batch.image), batch.label)
        model.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), STAGE.clip)
        for optimizer in optimizers:
            optimizer.step()
    return model.state_dict()


@pytest.mark.parametrize("strategy", ["single", "zero1", "zero2"])
def test_a_layers_steps_are_as_small_under_every_strategy(strategy):
    if strategy != "single" and find_spec("deepspeed") is None:
        pytest.skip("DeepSpeed is not installed")
    torch.manual_seed(0)
    begun = build(Model(name="test_convnext", pretrained="none")).train()
    image, label = torch.randn(8, 1, 32, 32), torch.arange(8) % 2
    batch = Batch(image, label, torch.ones(8), global_real=8)
    wanted = plain_steps(copy.deepcopy(begun), batch, 4)

    config = override(
        recipe("osteoporosis:smoke"), ["compute.workers=1", f"compute.strategy={strategy}"]
    )
    saved: dict[str, torch.Tensor] = {}
    model = copy.deepcopy(begun)
    for _ in range(2):  # the second goes on from what the first has saved
        made = strategy_for(config, alone())
        made.prepare(model, STAGE)
        if saved:
            made.load_optimizer(saved)
        for _ in range(2):
            made.step(Supervised(("normal", "osteoporosis")), batch, 0.01)
        saved = {name: t.clone() for name, t in made.optimizer_state().items()}
        made.close()
    for name, p in model.state_dict().items():
        torch.testing.assert_close(p, wanted[name], rtol=1e-4, atol=1e-6)
    assert any(not torch.equal(p, begun.state_dict()[n]) for n, p in wanted.items())
