"""What a teacher adds to a training step: its kept logits, its answers at each step, nothing.

    python -m tests.bench distil

One thread, 128x128, batches of 32, strong augmentation on all sides, so that the teacher is the
only difference: batches are made, then loss, backward and AdamW. The teacher is of the student's
kind and size. A ratio is the cost of a step in steps without a teacher; the aim with kept logits is
1.05 at most. Keeping them costs two answers a picture, once.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import torch

from data_sharding.reader import ShardDataset
from tests.bench.harness import Row, alternate, clock, number
from tests.conftest import pack_pictures
from training.checkpoint import save_weights
from training.config import Model, Student
from training.memory import keep_freed
from training.models import build
from training.preprocess import Preprocessor
from training.stream import Group, Stream
from training.teaching import teaching
from training.world import alone

SIZE, BATCH = 128, 32
#: network -> steps in a round
STEPS = {"convnext_atto": 3, "test_byobnet": 12}
SIDES = {
    "plain": {"alpha": 0.0},
    "kept": {"teacher_logits": "cached"},
    "online": {"teacher_logits": "online"},
    "average": {"teacher": "ema"},
}


def trainer(
    model: Model, group: Group, own: Path, settings: dict, steps: int
) -> Callable[[], None]:
    """`steps` steps of a student, from pictures in shards to changed weights."""
    world = alone()
    seen = Preprocessor(size=SIZE, mean=0.449, std=0.226, pixels="drawn/1", shape=(SIZE, SIZE))
    student = Student(epochs=1, batch=BATCH, lr=1e-3, **settings)
    with redirect_stdout(sys.stderr):  # its progress is no row of the table
        taught = teaching(student, own, [group], (BATCH,), seen, own.parent / "logits", world)
    stream = Stream(*([group], (BATCH,), seen, student.augment, 0, world, taught.weak, taught.said))
    torch.manual_seed(0)
    network = build(model).train()
    if settings.get("teacher") == "ema":
        taught.task.attach(build(model).eval().requires_grad_(False))  # type: ignore[union-attr]
    optimizer = torch.optim.AdamW(network.parameters(), student.lr)

    def train() -> None:
        for epoch in range(steps // stream.steps_per_epoch):
            for batch in stream.epoch(epoch):
                (taught.task.loss(network, batch)["loss"] / batch.global_real).backward()
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)

    return train


def run(folder: Path) -> list[Row]:
    keep_freed()  # as a run does: for all sides
    rows = []
    for name, steps in STEPS.items():
        n = BATCH * steps
        place = pack_pictures(folder / name, name, "internal", {"train": n}, SIZE)
        data = ShardDataset(place, "train")
        group = Group(data, np.arange(n), data.index["label"].to_numpy(np.int64))
        model, own = Model(name=name, pretrained="none"), folder / f"{name}-teacher" / "weights"
        own.parent.mkdir()
        torch.manual_seed(1)
        seen = Preprocessor(size=SIZE, mean=0.449, std=0.226, pixels="drawn/1", shape=(SIZE, SIZE))
        save_weights(own, build(model), model, seen, {}, {})
        made = {k: clock(trainer(model, group, own, s, steps), n) for k, s in SIDES.items()}
        times = alternate(made, rounds=7)
        for side, what in (
            ("kept", "teacher's logits kept"),
            ("online", "teacher asked at each step"),
            ("average", "mean teacher"),
        ):
            rows.append(
                Row(
                    f"distillation step, {name} {SIZE}x{SIZE}, {what}: cost in plain steps",
                    f"{number(1 / times.median(side))} samples/s",
                    f"labels only {number(1 / times.median('plain'))} samples/s",
                    times.ratio(side, "plain"),
                )
            )
    return rows
