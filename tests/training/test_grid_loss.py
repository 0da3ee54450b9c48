from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from tests.conftest import picture
from tests.training.models.test_grid_transformer import SMALL, network
from training.batch import Batch
from training.grid_loss import GridSupervised, local_cross_entropy
from training.losses import ramp_up

LABEL, REAL = (0, 1, 1, 0, 1), (1, 1, 0, 1, 0)


def batch(epoch: int = 0, step: int = 0) -> Batch:
    image = torch.randn(5, 1, 100, 67, generator=torch.Generator().manual_seed(0))
    return Batch(image, torch.tensor(LABEL), torch.tensor(REAL).float(), 7, epoch, step)


def task(**changes) -> GridSupervised:
    return GridSupervised(SMALL.model_copy(update=changes), steps_per_epoch=4)


def values(losses: dict[str, torch.Tensor]) -> dict[str, float]:
    return {name: float(v.detach()) for name, v in losses.items()}


@pytest.mark.parametrize("how", ["tile", "mean"])
def test_sums_are_those_worked_out_by_hand(how):
    model, b = network(), batch()
    with torch.no_grad():
        out = model(b.image, local=True)
    logits, local = out.logits.double().numpy(), out.local.double().numpy()
    ce, far = np.zeros(5), np.zeros(5)
    for i, label in enumerate(LABEL):
        ce[i] = -log_softmax(logits[i])[label]
        each = [-log_softmax(z)[label] for z in local[i]]
        far[i] = np.mean(each) if how == "tile" else -log_softmax(local[i].mean(0))[label]
    real, positive = np.array(REAL) > 0, np.array(LABEL) == 1
    expected = {
        "loss": (ce + 0.3 * far)[real].sum(),
        "ce": ce[real].sum(),
        "local": far[real].sum(),
        "n/normal": 2,
        "n/low_bone_mass": 1,
    }
    for name, each in (("ce", ce), ("local", far)):
        expected[f"{name}/normal"] = each[real & ~positive].sum()
        expected[f"{name}/low_bone_mass"] = each[real & positive].sum()
    found = values(task(local_loss=how, local_weight=0.3).loss(model, b))
    assert found == pytest.approx(expected, rel=1e-5)


def test_a_mean_logit_may_be_right_where_some_tiles_are_wrong():
    local = torch.tensor([[[0.0, 9.0], [0.0, 9.0], [0.0, -6.0]]])
    label = torch.tensor([1])
    tile, mean = (local_cross_entropy(local, label, how).item() for how in ("tile", "mean"))
    assert tile == pytest.approx(2, abs=1e-2)  # log(1 + e^6) / 3
    assert mean == pytest.approx(np.log1p(np.exp(-4)), rel=1e-4)


def test_padding_counts_for_nothing_and_parts_add_up():
    model, b = network(), batch()  # eval mode: batch norm would mix the pictures
    whole = values(task().loss(model, b))
    parts = [values(task().loss(model, part)) for part in b.split(3)]
    assert whole == pytest.approx({k: sum(p[k] for p in parts) for k in whole}, rel=1e-4)
    b.image[torch.tensor(REAL) == 0] = 5.0
    b.label[torch.tensor(REAL) == 0] = 0
    assert values(task().loss(model, b)) == pytest.approx(whole, rel=1e-5)


@pytest.mark.parametrize("how", ["tile", "mean"])
def test_every_weight_learns_at_every_step_as_ddp_asks(how):
    model = network().train()
    losses = task(local_loss=how).loss(model, batch())
    assert not any(v.requires_grad for k, v in losses.items() if k != "loss")
    losses["loss"].backward()
    assert all(p.grad is not None for p in model.parameters())
    heads = model.local_heads.weight2.grad
    assert (heads.abs().amax((1, 2)) > 0).all(), "each tile's own head"


def test_half_precision_stays_in_the_network():
    model, b = network(), batch()
    exact = values(task().loss(model, b))
    with torch.autocast("cpu", torch.bfloat16):
        rounded = task().loss(model, b)
    assert all(v.dtype == torch.float32 for v in rounded.values())
    assert values(rounded) == pytest.approx(exact, rel=0.1, abs=0.1)


def test_the_local_weight_grows_where_asked():
    growing = task(local_ramp_epochs=2.0, local_weight=0.4)
    assert growing.weight(batch(1, 2)) == pytest.approx(0.4 * ramp_up(1.5 / 2))
    assert growing.weight(batch(2, 0)) == 0.4
    assert task(local_weight=0.4).weight(batch(0, 0)) == 0.4


def test_it_learns_what_can_be_learnt():
    rng = np.random.default_rng(0)
    label = torch.arange(24) % 2
    pixels = np.stack([picture(rng, int(c), 96) for c in label]).astype(np.float32)
    image = torch.tensor((pixels / 255 - 0.449) / 0.226)[:, None]
    model, b = network().train(), Batch(image, label, torch.ones(24), 24)
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    losses = []
    for _ in range(15):
        found = task(dropout=0.0).loss(model, b)
        (found["loss"] / b.global_real).backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append({k: v.item() / 24 for k, v in found.items()})
    assert losses[-1]["ce"] < 0.1 < 0.5 < losses[0]["ce"]
    assert losses[-1]["local"] < losses[0]["local"]
