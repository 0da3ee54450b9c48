"""What our training loop costs over a bare PyTorch loop with the data already in memory.

    python -m tests.bench loop

The smoke recipe's network, 128x128, batches of 32, one thread. Ours reads shards, augments, clips,
keeps the moving average and restores or saves checkpoints; the bare loop steps AdamW over ready
tensors. Timed from the fourth step's loss to the last one's, so neither start nor the epoch's end
counts. The share of waiting is the time inside the stream's iterator.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from data_sharding.reader import ShardDataset
from tests.bench.harness import Row, alternate, now, number
from tests.conftest import pack_pictures
from training.checkpoint import Checkpoints
from training.config import Model, Stage
from training.loop import fit
from training.models import build
from training.preprocess import Preprocessor
from training.strategy import Single
from training.stream import Batch, Group, Stream
from training.tasks import Supervised
from training.tracking import NullTracker
from training.world import alone

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

    def __init__(self) -> None:
        self.marks: list[float] = []

    def loss(self, model: nn.Module, batch: Batch) -> dict[str, torch.Tensor]:
        self.marks.append(now())
        return super().loss(model, batch)


def ours(stream: Stream, stage: Stage) -> tuple[float, float]:
    """Seconds a sample, and the share of them spent waiting for data."""
    torch.manual_seed(0)
    waited, task = Waited(stream), Marked()
    with tempfile.TemporaryDirectory() as folder:
        fit(
            *(task, build(MODEL), waited, Single(stream.world), NullTracker(), stage),  # type: ignore[arg-type]
            *(Checkpoints(Path(folder)), lambda _: {}, 0),
        )
    seconds = task.marks[-1] - task.marks[SKIP]
    # between these two marks lie the waits for the batches SKIP + 1 to the last
    return seconds / (BATCH * (STEPS - 1 - SKIP)), sum(waited.waits[SKIP + 1 :]) / seconds


def bare(batches: list[tuple[torch.Tensor, torch.Tensor]], stage: Stage) -> float:
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
    n = BATCH * STEPS
    data = ShardDataset(pack_pictures(folder / "pack", "pack", "internal", {"train": n}, SIZE))
    group = Group(data, np.arange(n), data.index["label"].to_numpy(np.int64))
    preprocessor = Preprocessor(
        size=SIZE, mean=0.449, std=0.226, pixels="cxr/1", shape=(SIZE, SIZE)
    )
    rows = []
    for kind in ("weak", "strong"):
        stage = Stage(epochs=1, batch=BATCH, lr=3e-3, warmup_epochs=0, ema=0.98, augment=kind)  # type: ignore[arg-type]
        stream = Stream([group], (BATCH,), preprocessor, kind, 0, alone())
        ready = [(b.image, b.label) for b in itertools.islice(stream.epoch(0), STEPS)]
        shares: list[float] = []

        def loop(stream: Stream = stream, stage: Stage = stage, to: list[float] = shares) -> float:
            seconds, share = ours(stream, stage)
            to.append(share)
            return seconds

        times = alternate({"ours": loop, "bare": lambda r=ready, s=stage: bare(r, s)}, rounds=4)
        share = float(np.median(shares))
        rows.append(
            Row(
                f"training loop, {kind} augmentation: {share:.0%} of it waiting for data",
                f"{number(1 / times.median('ours'))} samples/s",
                f"bare loop on ready tensors {number(1 / times.median('bare'))} samples/s",
                times.ratio("bare", "ours"),
            )
        )
    return rows
