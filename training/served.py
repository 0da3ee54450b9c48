"""Which samples a stage was trained on, step by step: an audit log (``track.samples=true``).

Each rank of each launch writes ``<run>/<stage>/served/<begun>-rank<r>of<W>.jsonl``, a line a step.
A step may have been taken several times: a killed run goes on from its newest checkpoint, and what
came after that is done again, perhaps by another number of ranks. What counts is the last time.

    from training.served import assemble
    assemble(Path("demo/runs/latest/teacher"))[0, 0]  # keys of the first epoch's first step
"""

from __future__ import annotations

import json
import re
import time
from collections import defaultdict
from pathlib import Path

from training.world import World

#: A launch's name (rank 0's clock), rank, world size.
NAME = re.compile(r"(\d+)-rank(\d+)of(\d+)\.jsonl")
Step = tuple[int, int]
#: One rank's share of a step; None where it was padded.
Keys = list[str | None]


def served_path(stage: Path, world: World) -> Path:
    """A file for this launch of `stage` and this rank; the launch's name is rank 0's clock.

    All ranks must call it.
    """
    begun = world.on_main(time.time_ns)
    return stage / "served" / f"{begun}-rank{world.rank}of{world.size}.jsonl"


def assemble(stage: Path) -> dict[Step, list[str]]:
    """The keys of each global batch that counted: (epoch, step) -> keys in their global order.

    In a world of W the n-th key of rank r is the (n W + r)-th of the batch; padding is left out.

    Raises:
        ValueError: a step was not served whole, which is no training.
    """
    launches: dict[int, dict[int, Path]] = defaultdict(dict)
    sizes: dict[int, int] = {}
    for path in (stage / "served").glob("*.jsonl"):
        if match := NAME.fullmatch(path.name):
            begun, rank, size = map(int, match.groups())
            launches[begun][rank], sizes[begun] = path, size
    whole: dict[Step, list[str]] = {}
    for begun in sorted(launches):
        ranks = {rank: _steps(path) for rank, path in launches[begun].items()}
        # A rank may be killed before it has written the step in which the others wait for it.
        shares = [ranks.get(rank, {}) for rank in range(sizes[begun])]
        for step in [s for s in shares[0] if all(s in share for share in shares)]:
            # shares: (rank, n) -> batch: (n, rank)
            batch = zip(*(share[step] for share in shares), strict=True)
            whole[step] = [key for keys in batch for key in keys if key is not None]
    if gaps := _gaps(sorted(whole)):
        raise ValueError(f"{stage}/served: not served whole: {', '.join(map(str, gaps[:5]))}")
    return dict(sorted(whole.items()))


def _steps(path: Path) -> dict[Step, Keys]:
    """One rank's lines; a torn last one was never trained on."""
    found: dict[Step, Keys] = {}
    for line in path.read_text().splitlines():
        try:
            said = json.loads(line)
        except ValueError:
            break
        found[said["epoch"], said["step"]] = said["keys"]
    return found


def _gaps(steps: list[Step]) -> list[Step]:
    """Steps that are missing between the first and the last one."""
    there, missing = set(steps), []
    per_epoch = 1 + max((step for _, step in steps), default=-1)
    for epoch in range(1 + max((e for e, _ in steps), default=-1)):
        last = per_epoch if epoch < steps[-1][0] else 1 + steps[-1][1]
        missing += [(epoch, step) for step in range(last) if (epoch, step) not in there]
    return missing
