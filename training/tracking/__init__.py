"""Progress: metrics.jsonl is the truth, W&B is fed from it, and people read plain lines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from training.config import Config
from training.tracking.fed import Offline, Online
from training.tracking.identity import identity_of, mode_of
from training.tracking.jsonl import JsonlTracker
from training.tracking.say import say
from training.tracking.tracker import NullTracker, Record, Tracker

__all__ = ["JsonlTracker", "NullTracker", "Record", "Tracker", "say", "summarise", "tracker_for"]


def tracker_for(
    folder: Path,
    stage: str,
    config: Config,
    main: bool,
    epochs: int | None = None,
    echo: Callable[[str], None] = say,
) -> Tracker:
    """Rank 0's tracker of a stage, or none.

    Args:
        folder: the run's.
        stage: teacher, pseudo, student or eval (a number may follow: student-2); records go to
            ``metrics.jsonl`` in the folder of that name.
        config: the run's.
        main: this is rank 0.
        epochs: of the stage, to say how much is left.
        echo: where lines for people go.
    """
    if not main:
        return NullTracker()
    file = JsonlTracker(folder / stage / "metrics.jsonl", stage, echo, epochs)
    mode, note = mode_of(config.track.wandb)
    if note:
        echo(note)
    if mode == "disabled":
        return file
    return {"offline": Offline, "online": Online}[mode](file, identity_of(folder, stage, config))


def summarise(folder: Path, stage: str, config: Config, main: bool, values: Record) -> None:
    """Record a stage that has no steps (pseudo, eval): counts, AUROCs; nested numbers by name."""
    tracker = tracker_for(folder, stage, config, main)
    tracker.resume(0)
    tracker.summary(values)
    tracker.close()
