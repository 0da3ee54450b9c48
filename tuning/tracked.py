"""A trial as one W&B run: all its trainings in a row, and what became of it.

    track(sweep, folder, end)

Offline it is written when the trial has ended; online training feeds it meanwhile. What became of
the trial is kept beside its stages, in ``trial/metrics.jsonl``, so that ``python -m training track
sync`` tells it again.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.trial import TrialState

from training.tracking import say
from training.tracking.identity import mode_of
from training.tracking.jsonl import JsonlTracker
from tuning.child import Child, send
from tuning.sweep import Sweep

#: The folder in the run's, and how the names of its numbers begin.
STAGE = "trial"
#: Seconds that W&B may take for a trial.
SEND_S = 60.0


@dataclass(frozen=True)
class End:
    """What became of a trial: its values where it is complete, the reason where it failed."""

    state: TrialState
    values: Sequence[float] = ()
    why: str | None = None


def track(sweep: Sweep, folder: Path, slot: int, end: End, last_step: int | None) -> None:
    """Record the end of a trial, and let W&B have the whole of it.

    Args:
        sweep: the sweep.
        folder: the trial's run.
        slot: the trial, from 0.
        end: what became of it. Its reason stays here: an error names files.
        last_step: the last global step that was scored.
    """
    told: dict[str, Any] = {"slot": slot}
    for name, state in (
        ("complete", TrialState.COMPLETE),
        ("pruned", TrialState.PRUNED),
        ("failed", TrialState.FAIL),
    ):
        told[name] = int(end.state == state)
    if end.state == TrialState.PRUNED and last_step is not None:
        told["pruned_at"] = last_step
    if end.values:
        told["objective"] = dict(zip(sweep.objectives, end.values, strict=True))
    file = JsonlTracker(folder / STAGE / "metrics.jsonl", STAGE)
    file.summary(told)
    file.close()
    mode = mode_of(sweep.base.track.wandb)[0]
    if mode == "disabled":
        return
    child = Child(send, folder, mode, error=folder / STAGE / "error.txt")
    deadline = time.monotonic() + SEND_S
    while not child.ended(deadline - time.monotonic()):
        child.kill()
    if child.code:
        say(f"trial {slot}: W&B has not all of it: {child.why()}")
