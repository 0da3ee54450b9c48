"""From `fit()` to the first step, against Ray Train with a function that does nothing.

    python -m tests.bench start

Both on the same running cluster of two nodes with one CPU each on this machine, two workers, gloo.
The bare side is Ray's own TorchTrainer with its defaults, to the first line of the function; ours
is to the end of the first step, with all that this imports. Ours is shorter where the helpers that
it leaves out (Ray Data's, metrics, a placement group's guard) cost more than the step and its
imports. Seconds are of the clock on the wall, which a busy neighbour disturbs.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.bench.harness import Row, alternate, number
from tests.conftest import pack_pictures
from tests.training.nodes import Nodes

ROUNDS = 2
BARE = """
import sys, time
from pathlib import Path
from ray.train import RunConfig, ScalingConfig
from ray.train.torch import TorchConfig, TorchTrainer
import ray

def enter(config):
    Path(config["place"]).touch()

ray.init(log_to_driver=False)
trainer = TorchTrainer(
    enter,
    train_loop_config={"place": sys.argv[1]},
    torch_config=TorchConfig(backend="gloo"),
    scaling_config=ScalingConfig(num_workers=2),
    run_config=RunConfig(storage_path=sys.argv[2]),
)
asked = time.time()
trainer.fit()
print(f"at work {Path(sys.argv[1]).stat().st_mtime - asked:.3f} s")
"""


def run(folder: Path) -> list[Row]:
    packs = {
        "internal": pack_pictures(
            folder / "here", "here", "internal", {"train": 32, "tune": 16, "test": 16}, 128
        ),
        "external": pack_pictures(folder / "there", "there", "external", {"external": 8}, 128, 1),
    }
    ours = [
        *(sys.executable, "-m", "training", "ospenscreen:smoke", "--fresh"),
        *(f"paths.internal={packs['internal']}", f"paths.external=[{packs['external']}]"),
        *(f"paths.runs={folder / 'runs'}", "pseudo.enabled=false", "compute.workers=2"),
        *("teacher.epochs=1", "student.epochs=1", "track.wandb=disabled"),
    ]
    bare = [sys.executable, "-c", BARE, str(folder / "entered"), str(folder / "ray")]
    nodes = Nodes(folder)

    def side(command: list[str]) -> Callable[[], float]:
        def seconds() -> float:
            done = subprocess.run(
                command, env=nodes.environment, capture_output=True, text=True, check=True
            )
            found = re.search(r"at work ([\d.]+) s", done.stdout)
            assert found, done.stdout[-2000:]
            return float(found[1])

        return seconds

    try:
        sides = {"ours": side(ours), "bare": side(bare)}
        times = alternate(sides, ROUNDS)
    finally:
        nodes.close()
    return [
        Row(
            "Ray Train: from fit() to the end of the first step",
            f"{number(times.median('ours'))} s",
            f"TorchTrainer to an empty function's first line {number(times.median('bare'))} s",
            times.ratio("bare", "ours"),
        )
    ]
