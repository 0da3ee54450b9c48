from __future__ import annotations

import sys
from importlib.util import find_spec

import pytest
import torch
from torch import nn

from tests.training.strategies.test_contract import same_bytes
from tests.training.strategies.worker import STAGE, ZEROS
from training.config import Compute
from training.strategies.zero import Zero
from training.world import alone


def test_optimizer_state_is_shared_out(leg):
    """Two ranks hold half each, up to the padding of this tiny net's shares."""
    whole = leg("ddp calm")["held"]
    assert leg("zero0 calm")["held"] == whole
    for strategy in ZEROS[1:]:
        assert 0.5 * whole <= leg(f"{strategy} calm")["held"] < 0.52 * whole


def test_before_the_first_step_there_is_no_state_and_a_run_goes_on_from_that(leg):
    assert leg("empty")["optimizer"] == {}
    begun, calm = leg("after empty"), leg("zero1 calm")
    assert begun["at_start"] == 0
    for part in ("model", "ema", "optimizer"):
        assert same_bytes(begun[part], calm[part])


def test_a_gradient_that_is_not_finite_on_one_rank_is_said_on_all(folder):
    for rank in range(2):
        said = torch.load(folder / f"said {rank}.pt")
        assert set(said) == set(ZEROS[1:])
        assert all("not finite" in line and "lower lr" in line for line in said.values())


def test_deepspeed_says_nothing(folder):
    """Six legs offload without a GPU: rank 0 says of each that it is of no use."""
    lines = (folder / "out 0").read_text().splitlines()
    assert len(lines) == 6
    assert all(line.endswith("saves nothing without a GPU, it only copies") for line in lines)
    assert (folder / "out 1").read_text() == ""
    assert "DeepSpeed" not in (folder / "err 0").read_text()


def made(strategy: str, **settings) -> Zero:
    if find_spec("deepspeed") is None:
        pytest.skip("DeepSpeed is not installed")
    return Zero(alone(), Compute(strategy=strategy, **settings), "float32")  # type: ignore[arg-type]


def test_compiled_layers_and_zero3_do_not_go_together():
    with pytest.raises(ValueError, match=r"set compute\.strategy=zero2, or compute\.compile=false"):
        made("zero3", compile=True)


def test_without_deepspeed(monkeypatch):
    monkeypatch.setitem(sys.modules, "deepspeed", None)
    with pytest.raises(ValueError, match=r"pip install deepspeed, or set compute\.strategy=ddp"):
        Zero(alone(), Compute(strategy="zero1"), "float32")


def test_a_parameter_without_a_dimension():
    model = nn.Linear(2, 2)
    model.scale = nn.Parameter(torch.tensor(1.0))
    with pytest.raises(ValueError, match=r"as scale is; set compute\.strategy=ddp"):
        made("zero1").prepare(model, STAGE)
