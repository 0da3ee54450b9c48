"""What holds for each strategy: the same training, on any number of ranks, however cut up."""

from __future__ import annotations

import copy

import pytest
import torch

from tests.training.strategies import worker
from tests.training.strategies.worker import REAL, STAGE, STEPS, ZEROS, fresh, whole_batch

DISTRIBUTED = ("ddp", *ZEROS)


@pytest.fixture(scope="module")
def plain():
    """The same training written out: whole batches in one process, nothing fused, no padding."""
    model = fresh()
    learnt = {name: p for name, p in model.named_parameters() if p.requires_grad}
    groups = [
        {"params": [p for p in learnt.values() if p.ndim > 1], "weight_decay": STAGE.weight_decay},
        {"params": [p for p in learnt.values() if p.ndim < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, foreach=False, fused=False)
    ema = copy.deepcopy(model.state_dict())
    losses, norms = [], []
    for step in range(STEPS):
        image, label = (x[: REAL[step]] for x in whole_batch(step))
        loss = torch.nn.functional.cross_entropy(model(image), label)
        optimizer.zero_grad()
        loss.backward()
        norm = torch.cat([p.grad.flatten() for p in learnt.values()]).norm().item()
        for p in learnt.values():
            p.grad *= min(1, STAGE.clip / norm)
        for group in optimizer.param_groups:
            group["lr"] = worker.RATES[step]
        optimizer.step()
        d = min(STAGE.ema, (1 + step) / (10 + step))
        ema = {k: d * ema[k] + (1 - d) * v for k, v in model.state_dict().items()}
        losses.append([loss.item() * REAL[step], REAL[step]])
        norms.append(norm)
    state = {f"{n}/{k}": v for n, p in learnt.items() for k, v in optimizer.state[p].items()}
    assert min(norms) < STAGE.clip < max(norms), "some steps are clipped and some are not"
    return {"model": model.state_dict(), "ema": ema, "optimizer": state} | {
        "losses": losses,
        "norms": norms,
    }


def apart(a: dict, b: dict) -> float:
    """The largest relative difference of two states' tensors."""
    assert a.keys() == b.keys()
    return max(((a[k] - b[k]).norm() / b[k].norm()).item() for k in b)


def same_bytes(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(a[k].numpy().tobytes() == b[k].numpy().tobytes() for k in b)


def close(leg: dict, other: dict, tolerance: float = 1e-5) -> None:
    for part in ("model", "ema"):
        assert apart(leg[part], other[part]) < tolerance, part
    # The moments are sums of gradients of either sign.
    assert apart(leg["optimizer"], other["optimizer"]) < 10 * tolerance


WHOLE_RUNS = [
    x.name
    for x in (*worker.ALONE_FIRST, *worker.TOGETHER_FIRST)
    if (x.first, x.last) == (0, STEPS) and x.precision == "float32"
    if not x.batch_norm and not x.beside
]


@pytest.mark.parametrize("name", WHOLE_RUNS)
def test_it_is_plain_training_on_the_whole_batch(leg, plain, name):
    """Alone and together; in micro-batches; with padding, which counts for nothing."""
    found = leg(name)
    close(found, plain)
    assert {v.item() for k, v in found["optimizer"].items() if k.endswith("/step")} == {STEPS}
    for ours, theirs in zip(found["losses"], plain["losses"], strict=True):
        assert ours == pytest.approx(theirs, rel=1e-5)
    for ours, theirs in zip(found["norms"], plain["norms"], strict=True):
        assert set(ours) == {ours[0]}, "the norm is the same on all ranks"
        assert ours[0] == pytest.approx(theirs, rel=1e-5)


@pytest.mark.parametrize("strategy", DISTRIBUTED)
def test_a_run_that_goes_on_ends_with_the_bytes_of_a_calm_one(leg, strategy):
    resumed, calm = leg(f"{strategy} resumed"), leg(f"{strategy} calm")
    assert resumed["at_start"] > 0
    for part in ("model", "ema", "optimizer"):
        assert same_bytes(resumed[part], calm[part]), part


@pytest.mark.parametrize("last", ["chain 5", "world 3"])
def test_a_run_goes_on_under_another_strategy_and_in_another_world(leg, plain, last):
    """single -> zero2 x2 -> ddp x2 -> zero3 x2 -> single, and zero1 x2 -> x1 -> x2."""
    close(leg(last), plain)


@pytest.mark.parametrize("strategy", ZEROS)
def test_a_layer_may_run_after_the_models_forward_pass(leg, strategy):
    found, ddp = leg(f"{strategy} beside"), leg("ddp beside")
    assert "beside.weight" in ddp["model"]
    close(found, ddp)


@pytest.mark.parametrize("strategy", ZEROS)
def test_bf16_is_autocast_under_every_strategy(leg, strategy):
    ddp = leg("ddp bf16")
    close(leg(f"{strategy} bf16"), ddp)
    assert apart(leg("ddp calm")["model"], ddp["model"]) > 1e-3


@pytest.mark.parametrize("strategy", ZEROS)
def test_batch_norms_are_those_of_rank_0(leg, strategy):
    found, ddp = leg(f"{strategy} norms"), leg("ddp norms")
    assert found["model"]["norm.num_batches_tracked"] == STEPS
    for name in ("norm.running_mean", "norm.running_var"):
        torch.testing.assert_close(found["model"][name], ddp["model"][name], rtol=1e-5, atol=1e-6)
        assert torch.equal(found["model"][name], found["ema"][name])
    learnt = [k for k in ddp["model"] if not k.endswith("tracked")]
    a, b = ({k: x["model"][k] for k in learnt} for x in (found, ddp))
    assert apart(a, b) < 1e-5
