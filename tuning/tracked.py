"""A trial as one W&B run: all its trainings in a row, and what became of it.

    track(sweep, folder, trial, end, check)

Offline it is written when the trial has ended; online training feeds it meanwhile. What became of
the trial is kept beside its stages, in ``trial/metrics.jsonl``, so that ``python -m training track
sync`` tells it again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from data_sharding.private import AtWork, only_one
from training.tracking import say
from training.tracking.identity import mode_of
from training.tracking.jsonl import JsonlTracker
from tuning.child import Child, send
from tuning.sweep import Sweep

#: The folder in the run's, and how the names of its numbers begin.
STAGE = "trial"
#: How a trial may end, by the names that are told.
STATES = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}
#: Seconds that W&B may take for a trial, and between two looks at it.
SEND_S, LOOK_S = 60.0, 0.1


@dataclass(frozen=True)
class End:
    """What became of a trial: its values where it is complete, the reason where it failed."""

    state: TrialState
    values: Sequence[float] = ()
    why: str | None = None


def track(
    sweep: Sweep,
    folder: Path,
    trial: FrozenTrial,
    end: End,
    check: Callable[[], None],
) -> None:
    """Record the end of a trial, and let W&B have the whole of it; it never fails a trial.

    Args:
        sweep: the sweep.
        folder: the trial's run, where nobody is at work.
        trial: as the study has it, running.
        end: what became of it. Its reason stays here: an error names files.
        check: asked between two looks at what W&B does; it raises where that must end.
    """
    try:
        with only_one(folder):
            _record(sweep, folder, trial, end)
        why = _sent(sweep, folder, check)
    except (OSError, AtWork) as e:
        why = str(e)
    if why:
        later = f"python -m training track sync {folder}"
        say(f"trial {trial.user_attrs['slot']}: W&B has not all of it ({why}); later: {later}")


def forget(folder: Path) -> None:
    """The trial in `folder` is trained again: it has not ended yet."""
    (folder / STAGE / "metrics.jsonl").unlink(missing_ok=True)


def _record(sweep: Sweep, folder: Path, trial: FrozenTrial, end: End) -> None:
    told: dict[str, Any] = {"slot": trial.user_attrs["slot"]}
    for name, state in STATES.items():
        told[name] = int(end.state == state)
    if end.state == TrialState.PRUNED and trial.last_step is not None:
        told["pruned_at"] = trial.last_step
    if end.values:
        told["objective"] = dict(zip(sweep.objectives, end.values, strict=True))
    file = JsonlTracker(folder / STAGE / "metrics.jsonl", STAGE)
    file.summary(told)
    file.close()


def _sent(sweep: Sweep, folder: Path, check: Callable[[], None]) -> str:
    """Let W&B have it; what went wrong, in a line."""
    mode = mode_of(sweep.base.track.wandb)[0]
    if mode == "disabled":
        return ""
    child = Child(send, folder, mode, error=folder / STAGE / "error.txt")
    deadline = time.monotonic() + SEND_S
    try:
        while not child.ended(LOOK_S):
            check()
            if time.monotonic() > deadline:
                child.kill()
                return f"it took longer than {SEND_S:g} s"
    except BaseException:
        child.kill()
        raise
    return child.why() if child.code else ""
