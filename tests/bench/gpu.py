"""On an accelerator: our loop against timm's, images/s and the share of what the card can do.

    python -m tests.bench gpu          # ConvNeXt-small, 512x512, bf16, batches of 64
                                       # and the grid model, 1536x1536, bf16, batches of 8

Needs no Ray. Ours is the whole loop: shards, strong augmentation in loader workers (or on the
device), pinned copies, clipping, moving average, checkpoints. timm's is what its training script
does in a step, on a batch that already lies on the card: autocast, AdamW, clipping, its moving
average. The share is of the rate of a large bf16 matrix product measured just before: three times
the forward pass's operations (backward costs two), and one more forward pass for a teacher.
Of the grid model a step is measured on a batch that lies on the card (tiles, both kinds of heads,
loss, SGD), plain and checkpointed, against its parts there: timm's ResNet-18 on one tile position
after the other, torch's encoder and heads (`tests.bench.grid`), likewise in bf16. A card keeps all
36 tiles busy at once, so that the ratio lies below 1 where 8 pictures do not fill it.
Without an accelerator there is nothing to measure, and no row.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import timm
import torch
from timm.utils import ModelEmaV3
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from data_sharding.reader import ShardDataset
from tests.bench import grid as tiles
from tests.bench.harness import Row, number
from tests.conftest import pack_pictures
from training.batch import Batch
from training.checkpoint import Checkpoints, save_weights
from training.config import Compute, Model, Student
from training.grid import Grid
from training.loop import fit
from training.models import build
from training.pace import Pace
from training.preprocess import Preprocessor
from training.strategies.replicated import Replicated
from training.stream import Group, Stream
from training.teaching import teaching
from training.tracking import NullTracker
from training.world import World, alone


@dataclass(frozen=True)
class Work:
    """What is run on which device."""

    device: str = "cuda"
    model: str = "convnext_small"
    size: int = 512
    batch: int = 64
    steps: int = 40
    skip: int = 10

    def wait(self) -> float:
        """The clock, when the device has nothing left to do."""
        if self.device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()


@dataclass(frozen=True)
class Found:
    images_per_s: float
    wait_share: float
    memory_gib: float

    def text(self, flops: float, rate: float) -> str:
        share = self.images_per_s * flops / rate
        return (
            f"{number(self.images_per_s)} images/s, {share:.0%} of the matrix rate, "
            f"{self.wait_share:.1%} waiting, {self.memory_gib:.1f} GiB"
        )


class Timed:
    """A task between two clocks: the first stops when `skip` steps are done."""

    def __init__(self, task, work: Work) -> None:
        self.task, self.work, self.steps, self.start = task, work, 0, 0.0

    def loss(self, model: nn.Module, batch: Batch) -> dict[str, torch.Tensor]:
        if self.steps == self.work.skip:
            self.start = self.work.wait()
        self.steps += 1
        return self.task.loss(model, batch)


class Waits(NullTracker):
    """Seconds spent on getting batches, after each step."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def progress(self, epoch: int, step: int, steps: int, samples: float, waited: float) -> None:
        self.seconds.append(waited)


def ours(work: Work, folder: Path, settings: dict, augment_on: str = "cpu") -> Found:
    """Our loop for one epoch of `work.steps` steps."""
    place = folder / "pack"
    if not place.exists():
        pack_pictures(place, "pack", "internal", {"train": work.batch * work.steps}, work.size)
    data = ShardDataset(place, "train")
    group = Group(data, np.arange(len(data)), data.index["label"].to_numpy(np.int64))
    seen = Preprocessor(
        size=work.size, mean=0.449, std=0.226, pixels="drawn/1", shape=(work.size, work.size)
    )
    world = World(0, 1, torch.device(work.device)) if work.device == "cpu" else alone(True)
    config = Model(name=work.model, pretrained="none")
    own = folder / "teacher" / "weights"
    if not own.exists():
        own.parent.mkdir(parents=True)
        save_weights(own, build(config), config, seen, {}, {})
    student = Student(epochs=1, batch=work.batch, lr=1e-4, augment="strong", **settings)
    taught = teaching(student, own, [group], (work.batch,), seen, folder / "logits", world)
    loaders = min(16, (os.cpu_count() or 1) - 1) if work.device == "cuda" else 0
    stream = Stream(
        *([group], (work.batch,), seen, "strong", 0, world, taught.weak, taught.said),
        loader_workers=loaders,
        augment_on=augment_on,
    )
    compute = Compute(launcher="local", workers=1, channels_last=True, checkpoint_s=1e6)
    model = build(config).to(world.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    timed = Timed(taught.task, work)

    tracker = Waits()

    if work.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    ended = 0.0

    def validate(_: nn.Module) -> dict:
        nonlocal ended
        ended = work.wait()
        return {}

    fit(
        *(timed, model, stream, Replicated(world, compute, "bf16")),
        *(tracker, student, Checkpoints(Path(mkdtemp(dir=folder))), validate, 0),
        Pace(world, compute.checkpoint_s, None, lambda: False),
    )
    seconds = ended - timed.start
    images = work.batch * (work.steps - work.skip)
    waited = tracker.seconds[-1] - tracker.seconds[work.skip]
    return Found(images / seconds, waited / seconds, peak(work))


def timms(work: Work) -> Found:
    """timm's step on one batch that lies on the device."""
    device = torch.device(work.device)
    model = timm.create_model(work.model, in_chans=1, num_classes=2).to(device)
    model = model.to(memory_format=torch.channels_last).train()
    average = ModelEmaV3(model, decay=0.999)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-4, weight_decay=0.05, fused=True)
    image = torch.randn(work.batch, 1, work.size, work.size, device=device)
    image = image.contiguous(memory_format=torch.channels_last)
    label = torch.randint(2, (work.batch,), device=device)
    if work.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    start = 0.0
    for step in range(work.steps):
        if step == work.skip:
            start = work.wait()
        with torch.autocast(work.device, dtype=torch.bfloat16):
            loss = F.cross_entropy(model(image), label)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        average.update(model, step=step)
    seconds = work.wait() - start
    return Found(work.batch * (work.steps - work.skip) / seconds, 0.0, peak(work))


def peak(work: Work) -> float:
    return torch.cuda.max_memory_allocated() / 2**30 if work.device == "cuda" else 0.0


def forward_flops(work: Work) -> float:
    """Operations of one picture's forward pass."""
    model = timm.create_model(work.model, in_chans=1, num_classes=2).eval()
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        model(torch.zeros(1, 1, work.size, work.size))
    return counter.get_total_flops()


def matrix_rate(work: Work, n: int = 8192, rounds: int = 20) -> float:
    """Operations a second of an n x n bf16 product."""
    a, b = (torch.randn(n, n, device=work.device, dtype=torch.bfloat16) for _ in range(2))
    a @ b
    start = work.wait()
    for _ in range(rounds):
        a @ b
    return 2 * n**3 * rounds / (work.wait() - start)


def measure(work: Work, folder: Path, n: int = 8192) -> list[Row]:
    """One row a way of training, against timm's loop."""
    forward, rate = forward_flops(work), matrix_rate(work, n)
    name = torch.cuda.get_device_name() if work.device == "cuda" else "CPU"
    head = f"{name}, {rate / 1e12:.0f} TFLOP/s bf16: {work.model} {work.size}, batch {work.batch}"
    ways = {
        "supervised": ({"alpha": 0.0}, "cpu", 3),
        "supervised, augmented on the device": ({"alpha": 0.0}, "device", 3),
        "distillation, kept logits": ({"teacher_logits": "cached"}, "cpu", 3),
        "distillation, teacher online": ({"teacher_logits": "online"}, "cpu", 4),
    }
    rows = []
    for way, (settings, augment_on, passes) in ways.items():
        mine, theirs = ours(work, folder, settings, augment_on), timms(work)
        ratio = mine.images_per_s / theirs.images_per_s
        rows.append(
            Row(
                f"{head}: {way}",
                mine.text(passes * forward, rate),
                f"timm's loop, labels only, batch at hand: {theirs.text(3 * forward, rate)}",
                number(ratio),
            )
        )
    return rows


def measure_grid(work: Work, grid: Grid) -> list[Row]:
    """The grid model's step on pictures of the tiles' own size, plain and checkpointed."""
    device, side = torch.device(work.device), grid.grid * grid.tile
    image = torch.randn(work.batch, 1, side, side, device=device)
    name = torch.cuda.get_device_name() if work.device == "cuda" else "CPU"
    head = f"{name}, bf16: grid model, {grid.tiles} tiles of {grid.tile}x{grid.tile}"
    theirs = _stepped(work, lambda: tiles.parts(grid, image, True))
    rows = []
    for on in (False, True):
        mine = _stepped(work, lambda on=on: tiles.ours(grid, image, on, True))
        rows.append(
            Row(
                f"{head}, batch {work.batch}, {'checkpointed' if on else 'plain'}: cost in parts",
                f"{number(mine.images_per_s)} images/s, {mine.memory_gib:.1f} GiB",
                f"its parts {number(theirs.images_per_s)} images/s, {theirs.memory_gib:.1f} GiB",
                number(theirs.images_per_s / mine.images_per_s),
            )
        )
    return rows


def _stepped(work: Work, made: Callable[[], Callable[[], None]]) -> Found:
    """A step's images/s after `work.skip` of them, and the most memory from its making on."""
    if work.device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    step, start = made(), 0.0
    for n in range(work.steps):
        if n == work.skip:
            start = work.wait()
        step()
    seconds = work.wait() - start
    return Found(work.batch * (work.steps - work.skip) / seconds, 0.0, peak(work))


def run(folder: Path) -> list[Row]:
    if not torch.cuda.is_available():
        return []
    return [*measure(Work(), folder), *measure_grid(Work(batch=8, steps=15, skip=5), Grid())]
