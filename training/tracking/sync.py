"""Give W&B what ``metrics.jsonl`` holds: offline anew as a whole, online what it does not have."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from data_sharding.private import only_one
from training.config import Config
from training.tracking.identity import WHOLE, Identity, Mode, identity_of, save_state, state
from training.tracking.records import Recorded, in_a_row, numbers, read
from training.tracking.wandb_run import WandbRun, kept, remove


def sync(folder: Path, only: str | None, mode: Mode, echo: Callable[[str], None]) -> None:
    """Every stage of the run in `folder`, or one; says what was done. Again, it does nothing.

    A run with ``track.one_run`` has one stage here, ``run``.

    Raises:
        ValueError: no run, no such stage, another command is at work there, or W&B fails.
    """
    folder = folder.resolve()
    if not (folder / "run.json").is_file() or not (folder / "config.yaml").is_file():
        raise ValueError(f"{folder}: not a run's folder (runs/latest is the last one's)")
    config = Config.from_yaml(folder / "config.yaml")
    stages = {identity.stage: identity for identity in tracked(folder, config)}
    if only is not None and only not in stages:
        raise ValueError(f"{folder}: no stage {only!r} has metrics; has: {', '.join(stages)}")
    if not stages:
        echo(f"{folder}: no stage has metrics yet")
    with only_one(folder):
        for stage in [only] if only else stages:
            identity = stages[stage]
            for problem in recorded_of(identity).problems:
                echo(f"{stage}: {problem}")
            try:
                echo(f"{stage}: {send(identity) if mode == 'online' else replay(identity)}")
            except Exception as e:  # the library's errors are many
                raise ValueError(f"{stage}: W&B: {reason(e)}") from e


def stages_of(folder: Path) -> list[str]:
    """The folders of the run that hold metrics."""
    found = [*folder.glob("*/metrics.jsonl"), *folder.glob("*/*/metrics.jsonl")]
    stages = [p.parent.relative_to(folder).as_posix() for p in found]
    return sorted(s for s in stages if not s.startswith("."))  # .NAME: on its way, or away


def tracked(folder: Path, config: Config) -> list[Identity]:
    """The W&B runs of the run in `folder`: one for each stage that has metrics, or one in all."""
    stages = stages_of(folder)
    if stages and config.track.one_run:
        stages = [WHOLE]
    return [identity_of(folder, stage, config) for stage in stages]


def metrics_of(identity: Identity) -> list[Path]:
    """The files of truth: a stage's one, or all of a run that is one W&B run."""
    stages = stages_of(identity.folder) if identity.trainings else [identity.stage]
    return [identity.folder / stage / "metrics.jsonl" for stage in stages]


def recorded_of(identity: Identity) -> Recorded:
    """What W&B is told: a stage's records and summary, or those of all stages as one.

    Then trainings follow one another, `step` counts on, `training` is which of them it is, from 1,
    and names in summaries begin with their stage: ``pseudo/n``.
    """
    if not identity.trainings:
        (path,) = metrics_of(identity)
        return read(path)
    found = Recorded()
    at = {name: n for n, name in enumerate(identity.trainings, 1)}
    for name, record in in_a_row(identity.folder, identity.trainings):
        found.records.append({**record, "training": at[name]})
    for path in metrics_of(identity):
        stage = path.parent.relative_to(identity.folder).as_posix()
        of_stage = read(path)
        found.problems += [f"{stage}/{problem}" for problem in of_stage.problems]
        found.summary |= {f"{stage}/{k}": v for k, v in numbers(of_stage.summary).items()}
    return found


def replay(identity: Identity) -> str:
    """Write the one offline run of a stage, in place of any before; what was done, in words."""
    paths = metrics_of(identity)
    texts = [path.read_bytes() if path.exists() else b"" for path in paths]
    digest = hashlib.sha256(b"".join(texts)).hexdigest()
    known = state(identity.folder)
    replayed = known.get("offline", {})
    names = [p.name for p in kept(identity)]
    if any(replayed.get(identity.stage) == {"sha256": digest, "folder": name} for name in names):
        return f"nothing new, wandb/{names[0]} has it"
    remove(identity)
    recorded = recorded_of(identity)
    run = WandbRun(identity, "offline")
    count = run.feed(recorded.records)
    made = run.finish(recorded).name
    replayed = replayed | {identity.stage: {"sha256": digest, "folder": made}}
    save_state(identity.folder, known | {"offline": replayed})  # last: a torn one is made again
    return f"{count} records in wandb/{made}"


def send(identity: Identity) -> str:
    """Bring the online run up to date; what was done, in words."""
    recorded = recorded_of(identity)
    run = WandbRun(identity, "online")
    had = len([r for r in recorded.records if r["step"] <= run.last])
    count = run.feed(recorded.records)
    run.finish(recorded)
    return f"{count} records sent, W&B had {had}" if count else f"nothing new, W&B has all {had}"


def reason(error: BaseException) -> str:
    """The first line of what went wrong."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0].rstrip('.')}" if lines else type(error).__name__
