"""Take the proxy labels of a run back, and all that was learnt from them. The teacher stays.

What the decisions follow from stays as well (``scores/`` and ``decision.json`` of each round), so
that training again decides the same, byte for byte and of the same date, without asking the
teachers again; `everything` takes these too.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from data_sharding.private import only_one
from training.folder import note, read_facts

#: What of a run comes from its proxy labels. The rest (teacher, settings, W&B's own files) is left.
LEARNT = ("student", "round-*/student", "cohorts", "report")
#: What the decisions of a round follow from.
SOURCES = ("scores", "decision.json")


def rounds(run: Path) -> list[Path]:
    """The folders of a run's rounds in their order: ``round-1/pseudo``, ..., ``pseudo``."""
    before = [p for p in run.glob("round-*/pseudo") if p.parent.name[6:].isdigit()]
    before.sort(key=lambda p: int(p.parent.name[6:]))
    return [*before, *([run / "pseudo"] if (run / "pseudo").is_dir() else [])]


def to_undo(run: Path, everything: bool = False) -> list[Path]:
    """What `undo` would remove, in the order in which it does; nothing, if nothing was decided.

    Raises:
        ValueError: `run` is not a run's folder.
    """
    if not (run / "run.json").is_file():
        raise ValueError(f"{run}: not a run's folder (no run.json in it)")
    inside = [p for folder in rounds(run) for p in sorted(folder.iterdir())]
    inside = [p for p in inside if everything or p.name not in SOURCES]
    inside.sort(key=lambda p: p.name != "summary.json")  # without it a round counts as undone
    learnt = [p for name in LEARNT for p in sorted(run.glob(name))]
    return [*learnt, *inside] if inside else []


def undo(run: Path, everything: bool = False) -> list[Path]:
    """Remove it and mark the run unfinished; returns what was removed.

    Stopped half-way, it may be called again.

    Raises:
        ValueError: not a run's folder, or a command is at work in it.
    """
    to_undo(run, everything)
    with only_one(run):
        gone = to_undo(run, everything)
        if gone:
            spent = read_facts(run).get("timings", {})
            kept = {k: v for k, v in spent.items() if k == "teacher"}
            note(run, timings=kept, complete=False)
        for one in gone:
            if one.is_dir() and not one.is_symlink():
                shutil.rmtree(one)
            else:
                one.unlink(missing_ok=True)
    return gone
