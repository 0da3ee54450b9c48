"""Two DDP workers against twice one, at one thread each: what the agreement between them costs.

    python -m tests.bench ddp

convnext_atto at 128x128, 32 pictures a worker and step, our whole loop (shards, weak augmentation,
clipping, moving average). Two cores that share a cache or a power budget do not give twice one even
where nothing is exchanged, so two workers that know nothing of each other run as well.
"""

from __future__ import annotations

import statistics
from pathlib import Path

from tests.bench.harness import Row, alternate, number
from tests.conftest import pack_pictures
from tests.training.workers import CONTEXT, free_port

SIZE, BATCH, STEPS, SKIP = 128, 32, 14, 4


def work(pack: str, rank: int, size: int, port: int, marks) -> None:
    """Train `STEPS` steps; leave the seconds a step of the steady part in `marks`."""
    import os

    names = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "MASTER_PORT": port}
    os.environ |= {k: str(v) for k, v in names.items()} | {"MASTER_ADDR": "127.0.0.1"}
    import torch

    torch.set_num_threads(1)
    from tests.bench.loop import Marked, fit_once, stage_of, stream_of
    from training.config import Model
    from training.memory import keep_freed
    from training.world import alone, join_torchrun

    keep_freed()
    world, batch = join_torchrun() if size > 1 else alone(), BATCH * size
    task, stream = Marked(wall=True), stream_of(Path(pack), SIZE, batch, "weak", world)
    model = Model(name="convnext_atto", pretrained="none")
    fit_once(model, stream, stage_of(batch, "weak"), task, world)
    marks[rank] = (task.marks[-1] - task.marks[SKIP]) / (len(task.marks) - 1 - SKIP)


def run(folder: Path) -> list[Row]:
    n = BATCH * STEPS
    packs = {
        size: pack_pictures(folder / f"pack{size}", "pack", "internal", {"train": n * size}, SIZE)
        for size in (1, 2)
    }

    def seconds(groups: list[int]) -> float:
        """Seconds a sample of each group of ranks, run at once; the slowest rank counts."""
        marks = [CONTEXT.Array("d", size) for size in groups]
        started = [
            CONTEXT.Process(target=work, args=(str(packs[size]), r, size, port, m))
            for size, m, port in zip(groups, marks, [free_port() for _ in groups], strict=True)
            for r in range(size)
        ]
        for p in started:
            p.start()
        for p in started:
            p.join()
            assert p.exitcode == 0
        # each rank's own pictures in each of its steps
        return statistics.mean(max(m) / BATCH / len(m) / len(groups) for m in marks)

    times = alternate(
        {
            "one": lambda: seconds([1]),
            "two": lambda: seconds([2]),
            "apart": lambda: seconds([1, 1]),
        },
        rounds=5,
    )
    one, two, apart = (1 / times.median(side) for side in ("one", "two", "apart"))
    return [
        Row(
            "two DDP workers, convnext_atto 128x128, one thread each",
            f"{number(two)} samples/s",
            f"one worker {number(one)}",
            times.ratio("one", "two"),
        ),
        Row(
            "the same",
            f"{number(two)} samples/s",
            f"two workers that exchange nothing {number(apart)}",
            times.ratio("apart", "two"),
        ),
    ]
