"""The meter against numpy over the whole epoch: means, groups, restarts, two ranks, waiting."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from training.meter import Meter, peak_memory
from training.world import World, alone

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Counted:
    global_real: int


def drawn(steps: int = 12, size: int = 8) -> list[tuple[np.ndarray, np.ndarray]]:
    """Per step the losses and labels of a global batch; the last is not full."""
    rng = np.random.default_rng(0)
    sizes = [size] * (steps - 1) + [size // 2]
    return [(rng.random(n), rng.integers(0, 2, n)) for n in sizes]


def sums(loss: np.ndarray, label: np.ndarray) -> dict[str, torch.Tensor]:
    found = {"loss": loss.sum(), "ce": loss.sum()}
    for k, group in enumerate(("normal", "low")):
        found |= {f"ce/{group}": loss[label == k].sum(), f"n/{group}": (label == k).sum()}
    return {k: torch.tensor(float(v)) for k, v in found.items()}


def feed(meter: Meter, steps: list[tuple[np.ndarray, np.ndarray]]) -> None:
    for loss, label in steps:
        meter.add(sums(loss, label), Counted(len(loss)), torch.tensor(loss[0]))


def expected(steps: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
    loss, label = (np.concatenate(x) for x in zip(*steps, strict=True))
    norms = [x[0] for x, _ in steps]
    return {
        "train/loss": loss.mean(),
        "train/ce": loss.mean(),
        "train/ce/normal": loss[label == 0].mean(),
        "train/ce/low": loss[label == 1].mean(),
        "train/grad_norm": float(np.mean(norms)),
        "train/grad_norm_max": max(norms),
    }


def learnt(record: dict[str, float]) -> dict[str, float]:
    return {k: v for k, v in record.items() if k.startswith("train/")}


def test_means_are_over_the_epochs_real_samples_and_over_each_group():
    meter = Meter({}, alone())
    feed(meter, drawn())
    assert learnt(meter.read()) == pytest.approx(expected(drawn()), rel=1e-6)


@pytest.mark.parametrize("cut", [1, 5, 11])
def test_a_restart_in_the_epoch_changes_no_mean(cut):
    first = Meter({}, alone())
    feed(first, drawn()[:cut])
    carried = json.loads(json.dumps(first.state(), allow_nan=False))
    second = Meter(carried, alone())
    feed(second, drawn()[cut:])
    assert learnt(second.read()) == pytest.approx(expected(drawn()), rel=1e-6)
    assert carried == first.state(), "reading it changes nothing"


def test_a_group_that_never_came_is_left_out():
    meter = Meter({}, alone())
    loss = np.array([1.0, 3.0])
    feed(meter, [(loss, np.zeros(2, int))])
    found = learnt(meter.read())
    assert found["train/ce/normal"] == 2
    assert "train/ce/low" not in found


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("where", ["loss", "norm", "group"])
def test_what_is_not_finite_stops_the_run(value, where):
    meter = Meter({}, alone())
    losses = sums(np.ones(4), np.zeros(4, int))
    if where != "norm":  # a group without samples whose sum is not finite is seen too
        losses["loss" if where == "loss" else "ce/low"] = torch.tensor(value)
    meter.add(losses, Counted(4), torch.tensor(value if where == "norm" else 1.0))
    feed(meter, drawn()[:1])
    with pytest.raises(ValueError, match="not finite"):
        meter.read()


def test_the_wait_for_batches_is_timed_and_nothing_else():
    meter = Meter({}, alone())

    def slow():
        for k in range(4):
            time.sleep(0.02)
            yield k

    seen = []
    for k in meter.timed(slow()):
        time.sleep(0.02)
        feed(meter, drawn()[k : k + 1])
        seen.append(k)
    assert seen == [0, 1, 2, 3]
    assert 0.08 <= meter.waited < 0.5
    record = meter.read()
    assert 0.08 / 10 < record["perf/wait_share"] < 0.9
    assert record["perf/samples_per_s"] < 32 / 0.16
    assert 50 < record["perf/memory_mib"] <= peak_memory() / 2**20 < 100_000


def test_an_error_of_the_stream_comes_through():
    def torn():
        yield 1
        raise OSError("a shard is gone")

    with pytest.raises(OSError, match="gone"):
        list(Meter({}, alone()).timed(torn()))


def one_of_two(rank: int, store: str, out: str) -> None:
    """What each process of the next test does: its share of the first steps, then of the rest."""
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{store}", rank=rank, world_size=2
    )
    world = World(rank, 2, torch.device("cpu"))
    carried: dict[str, float] = {}
    for part in (slice(0, 5), slice(5, None)):
        meter = Meter(carried, world)
        for loss, label in drawn()[part]:
            mine = sums(loss[rank::2], label[rank::2])
            meter.add(mine, Counted(len(loss)), torch.tensor(loss[0]))
        carried = meter.state()
    Path(out).with_suffix(f".{rank}").write_text(json.dumps(meter.read()))
    torch.distributed.destroy_process_group()


def test_two_ranks_read_what_one_reads(tmp_path):
    code = f"from {__name__} import one_of_two as f; f(%d, {str(tmp_path / 's')!r}, %r)"
    out = str(tmp_path / "record.json")
    workers = [
        subprocess.Popen([sys.executable, "-c", code % (rank, out)], cwd=ROOT) for rank in (0, 1)
    ]
    assert [w.wait(timeout=60) for w in workers] == [0, 0]
    records = [json.loads((tmp_path / f"record.{rank}").read_text()) for rank in (0, 1)]
    assert records[0] == records[1]
    assert learnt(records[0]) == pytest.approx(expected(drawn()), rel=1e-6)
