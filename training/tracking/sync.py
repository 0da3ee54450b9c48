"""Give W&B what ``metrics.jsonl`` holds: offline anew as a whole, online what it does not have."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from data_sharding.private import only_one
from training.config import Config
from training.tracking.identity import Identity, Mode, identity_of, save_state, state
from training.tracking.records import read
from training.tracking.wandb_run import WandbRun, kept, remove


def sync(folder: Path, only: str | None, mode: Mode, echo: Callable[[str], None]) -> None:
    """Every stage of the run in `folder`, or one; says what was done. Again, it does nothing.

    Raises:
        ValueError: no run, no such stage, another command is at work there, or W&B fails.
    """
    folder = folder.resolve()
    if not (folder / "run.json").is_file() or not (folder / "config.yaml").is_file():
        raise ValueError(f"{folder}: not a run's folder (runs/latest is the last one's)")
    config = Config.from_yaml(folder / "config.yaml")
    stages = stages_of(folder)
    if only is not None and only not in stages:
        raise ValueError(f"{folder}: no stage {only!r} has metrics; has: {', '.join(stages)}")
    if not stages:
        echo(f"{folder}: no stage has metrics yet")
    with only_one(folder):
        for stage in [only] if only else stages:
            identity = identity_of(folder, stage, config)
            for problem in read(metrics_of(identity)).problems:
                echo(f"{stage}: {problem}")
            try:
                echo(f"{stage}: {send(identity) if mode == 'online' else replay(identity)}")
            except Exception as e:  # the library's errors are many
                raise ValueError(f"{stage}: W&B: {reason(e)}") from e


def stages_of(folder: Path) -> list[str]:
    """The folders of the run that hold metrics."""
    found = [*folder.glob("*/metrics.jsonl"), *folder.glob("*/*/metrics.jsonl")]
    return sorted(p.parent.relative_to(folder).as_posix() for p in found)


def metrics_of(identity: Identity) -> Path:
    """The file of truth."""
    return identity.folder / identity.stage / "metrics.jsonl"


def replay(identity: Identity) -> str:
    """Write the one offline run of a stage, in place of any before; what was done, in words."""
    path = metrics_of(identity)
    digest = hashlib.sha256(path.read_bytes() if path.exists() else b"").hexdigest()
    known = state(identity.folder)
    replayed = known.get("offline", {})
    names = [p.name for p in kept(identity)]
    if any(replayed.get(identity.stage) == {"sha256": digest, "folder": name} for name in names):
        return f"nothing new, wandb/{names[0]} has it"
    remove(identity)
    recorded = read(path)
    run = WandbRun(identity, "offline")
    count = run.feed(recorded.records)
    made = run.finish(recorded).name
    replayed = replayed | {identity.stage: {"sha256": digest, "folder": made}}
    save_state(identity.folder, known | {"offline": replayed})  # last: a torn one is made again
    return f"{count} records in wandb/{made}"


def send(identity: Identity) -> str:
    """Bring the online run up to date; what was done, in words."""
    recorded = read(metrics_of(identity))
    run = WandbRun(identity, "online")
    had = len([r for r in recorded.records if r["step"] <= run.last])
    count = run.feed(recorded.records)
    run.finish(recorded)
    return f"{count} records sent, W&B had {had}" if count else f"nothing new, W&B has all {had}"


def reason(error: BaseException) -> str:
    """The first line of what went wrong."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0].rstrip('.')}" if lines else type(error).__name__
