"""Take the proxy labels of a run back, and all that was learnt from them. The teacher stays.

What the decisions follow from stays as well (``scores/`` and ``decision.json`` of the first round),
so that training again decides the same, byte for byte and of the same date, without asking the
teachers again; `everything` takes these too.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from data_sharding.private import only_one
from data_sharding.schema import write_atomic

#: What of a run comes from its proxy labels. The rest (teacher, settings, W&B's own files) is left.
LEARNT = ("student", "student-*", "round-*", "pseudo-*", "cohorts", "report")
#: What of the first round others follow from.
SOURCES = ("scores", "decision.json")


def to_undo(run: Path, everything: bool = False) -> list[Path]:
    """What `undo` would remove, in the order in which it does; nothing, if nothing was decided.

    Raises:
        ValueError: `run` is not a run's folder.
    """
    if not (run / "run.json").is_file():
        raise ValueError(f"{run}: not a run's folder (no run.json in it)")
    learnt = [p for name in LEARNT for p in sorted(run.glob(name))]
    first = run / "pseudo"
    inside = sorted(first.iterdir()) if first.is_dir() else []
    inside = [p for p in inside if everything or p.name not in SOURCES]
    inside.sort(key=lambda p: p.name != "summary.json")  # without it the round counts as undone
    decided = inside or any(p.name.startswith(("pseudo-", "round-")) for p in learnt)
    return [*learnt, *inside] if decided else []


def undo(run: Path, everything: bool = False) -> list[Path]:
    """Remove it and mark the run unfinished; returns what was removed.

    Stopped half-way, it may be called again.

    Raises:
        ValueError: not a run's folder, or a command is at work in it.
    """
    gone = to_undo(run, everything)
    with only_one(run):
        path = run / "run.json"
        facts = json.loads(path.read_text())
        stages = ("teacher",)
        facts["timings"] = {k: v for k, v in facts.get("timings", {}).items() if k in stages}
        facts["complete"] = False
        if gone:
            write_atomic(path, json.dumps(facts, indent=1) + "\n")
        for one in gone:
            if one.is_dir() and not one.is_symlink():
                shutil.rmtree(one)
            else:
                one.unlink(missing_ok=True)
    return gone
