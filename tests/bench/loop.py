"""What our training loop costs over a bare PyTorch loop.

    python -m tests.bench loop

The smoke recipe's network, 128x128, batches of 32, one thread. Ours reads shards, augments, clips,
keeps the moving average and restores or saves checkpoints; the bare loop steps AdamW over the same
stream, or over ready tensors. Timed from the fourth step's loss to the last one's, so neither start
nor the epoch's end counts. The share of waiting is the time inside the stream's iterator.
"""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from data_sharding.reader import ShardDataset
from tests.bench.harness import Row, alternate, now, number
from tests.conftest import pack_pictures
from training.batch import Batch
from training.checkpoint import Checkpoints
from training.config import Compute, Model, Stage
from training.loop import fit
from training.memory import keep_freed
from training.models import build
from training.pace import Pace
from training.preprocess import Preprocessor
from training.strategies.replicated import Replicated
from training.stream import Group, Stream
from training.tasks import Supervised
from training.tracking import JsonlTracker
from training.world import World, alone

SIZE, BATCH, STEPS, SKIP = 128, 32, 17, 3
MODEL = Model(name="test_byobnet", pretrained="none")


class Waited:
    """A stream that knows how long each batch let the loop wait."""

    def __init__(self, stream: Stream) -> None:
        self.stream, self.steps_per_epoch = stream, stream.steps_per_epoch
        self.waits: list[float] = []

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        batches = self.stream.epoch(epoch, start)
        while True:
            asked = now()
            batch = next(batches, None)
            if batch is None:
                return
            self.waits.append(now() - asked)
            yield batch


class Marked(Supervised):
    """A task that marks when each loss was asked for."""

    def __init__(self, wall: bool = False) -> None:
        self.clock, self.marks = time.perf_counter if wall else now, []

    def loss(self, model: nn.Module, batch: Batch) -> dict[str, torch.Tensor]:
        self.marks.append(self.clock())
        return super().loss(model, batch)


def stream_of(pack: Path, size: int, batch: int, kind: str, world: World) -> Stream:
    data = ShardDataset(pack, "train")
    group = Group(data, np.arange(len(data)), data.index["label"].to_numpy(np.int64))
    preprocessor = Preprocessor(
        size=size, mean=0.449, std=0.226, pixels="drawn/1", shape=(size, size)
    )
    return Stream([group], (batch,), preprocessor, kind, 0, world)


def fit_once(model: Model, stream: Any, stage: Stage, task: Marked, world: World) -> None:
    """One epoch of our whole loop: tracker, checkpoints, moving average and all."""
    torch.manual_seed(0)
    compute = Compute(launcher="local", checkpoint_s=1e6)
    with tempfile.TemporaryDirectory() as folder:
        tracker = JsonlTracker(Path(folder) / "metrics.jsonl", "bench", echo=lambda _: None)
        fit(
            *(task, build(model), stream, Replicated(world, compute, "float32"), tracker, stage),
            *(Checkpoints(Path(folder)), lambda _: {}, 0),
            Pace(world, compute.checkpoint_s, None, lambda: False),
        )


def stage_of(batch: int, kind: str) -> Stage:
    return Stage(epochs=1, batch=batch, lr=3e-3, warmup_epochs=0, ema=0.98, augment=kind)  # type: ignore[arg-type]


def ours(stream: Stream, stage: Stage) -> tuple[float, float]:
    """Seconds a sample, and the share of them spent waiting for data."""
    waited, task = Waited(stream), Marked()
    fit_once(MODEL, waited, stage, task, stream.world)
    seconds = task.marks[-1] - task.marks[SKIP]
    # between these two marks lie the waits for the batches SKIP + 1 to the last
    return seconds / (BATCH * (STEPS - 1 - SKIP)), sum(waited.waits[SKIP + 1 :]) / seconds


def bare(batches: Iterable[tuple[torch.Tensor, torch.Tensor]], stage: Stage) -> float:
    """Seconds a sample."""
    torch.manual_seed(0)
    model = build(MODEL).train()
    optimizer = torch.optim.AdamW(model.parameters(), stage.lr, weight_decay=stage.weight_decay)
    marks = []
    for image, label in batches:
        marks.append(now())
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(model(image), label).backward()
        optimizer.step()
    return (marks[-1] - marks[SKIP]) / (BATCH * (STEPS - 1 - SKIP))


def run(folder: Path) -> list[Row]:
    keep_freed()  # as a run does: for all sides
    pack = pack_pictures(folder / "pack", "pack", "internal", {"train": BATCH * STEPS}, SIZE)
    rows = []
    for kind in ("weak", "strong"):
        stage = stage_of(BATCH, kind)
        stream = stream_of(pack, SIZE, BATCH, kind, alone())
        ready = [(b.image, b.label) for b in itertools.islice(stream.epoch(0), STEPS)]
        shares: list[float] = []

        def loop(stream: Stream = stream, stage: Stage = stage, to: list[float] = shares) -> float:
            seconds, share = ours(stream, stage)
            to.append(share)
            return seconds

        def same(stream: Stream = stream, stage: Stage = stage) -> float:
            return bare(((b.image, b.label) for b in stream.epoch(0)), stage)

        sides = {"ours": loop, "same": same, "bare": lambda r=ready, s=stage: bare(r, s)}
        times = alternate(sides, rounds=7)
        share = float(np.median(shares))
        for side, what in (("same", "over the same stream"), ("bare", "on ready tensors")):
            rows.append(
                Row(
                    f"training loop, {kind} augmentation: {share:.0%} of it waiting for data",
                    f"{number(1 / times.median('ours'))} samples/s",
                    f"bare loop {what} {number(1 / times.median(side))} samples/s",
                    times.ratio(side, "ours"),
                )
            )
    return rows
