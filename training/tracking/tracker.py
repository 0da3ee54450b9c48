"""What the loop and the stages say of their progress, whoever listens."""

from __future__ import annotations

from typing import Any, Protocol

Record = dict[str, Any]


class Tracker(Protocol):
    """Where a stage's records go. A tracker never stops a training: it warns, once.

    The order: `resume`, then `progress` and `log`, `summary` perhaps, and `close` when the stage is
    done. A stage that is interrupted need not close: the next launch goes on.
    """

    def resume(self, step: int) -> None:
        """Forget what was recorded after global step `step`: it will be done again."""
        ...

    def progress(self, epoch: int, step: int, steps: int, samples: float, waited: float) -> None:
        """After each step; it costs a look at the clock.

        Args:
            epoch: the one under way, from 1.
            step: how many of its steps are done, of `steps`.
            samples: real samples of the epoch so far, all ranks together (``Meter.real``).
            waited: seconds spent waiting for data in the epoch so far (``Meter.waited``).
        """
        ...

    def log(self, record: Record) -> None:
        """One record of built-in types: `step` (global), `epoch`, and numbers by name."""
        ...

    def summary(self, values: Record) -> None:
        """What is true of the whole stage: numbers by name, nested if need be; once or again."""
        ...

    def close(self) -> None:
        """The stage is done: flush and end."""
        ...


class NullTracker:
    """For ranks other than 0."""

    def resume(self, step: int) -> None:
        """Nothing."""

    def progress(self, epoch: int, step: int, steps: int, samples: float, waited: float) -> None:
        """Nothing."""

    def log(self, record: Record) -> None:
        """Nothing."""

    def summary(self, values: Record) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""
