"""Progress: metrics.jsonl is the truth, W&B is fed from it, and people read plain lines."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from data_sharding.schema import write_atomic
from training.config import Track
from training.tracking.say import say

Record = dict[str, Any]


class Tracker(Protocol):
    """Where the loop's records go. Each has `step`, the global step, and only built-in types."""

    def resume(self, step: int) -> None:
        """Forget what was recorded after global step `step`: it will be done again."""
        ...

    def log(self, record: Record) -> None:
        """One record."""
        ...

    def close(self) -> None:
        """Flush and end."""
        ...


class NullTracker:
    """For ranks other than 0."""

    def resume(self, step: int) -> None:
        """Nothing."""

    def log(self, record: Record) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


class JsonlTracker:
    """``metrics.jsonl``, one record a line, and the lines a person reads."""

    def __init__(self, path: Path, title: str, echo: Callable[[str], None] | None = None) -> None:
        self.path, self.title, self.echo = path, title, echo or say
        path.parent.mkdir(parents=True, exist_ok=True)

    def resume(self, step: int) -> None:
        """Cut the file back to the records up to `step`; a torn last line is dropped."""
        if not self.path.exists():
            return
        kept = []
        for line in self.path.read_text().splitlines():
            try:
                if json.loads(line)["step"] <= step:
                    kept.append(line + "\n")
            except ValueError:
                break
        write_atomic(self.path, "".join(kept))
        if step:
            self.echo(f"{self.title}: resuming at step {step}")

    def log(self, record: Record) -> None:
        """Append, and say it in words."""
        with self.path.open("a") as f:
            f.write(json.dumps(record, allow_nan=False) + "\n")
        rest = {k: v for k, v in record.items() if k not in ("step", "epoch")}
        words = "  ".join(f"{k} {_short(v)}" for k, v in rest.items())
        self.echo(f"{self.title}: epoch {record['epoch']} step {record['step']}  {words}")

    def close(self) -> None:
        """Nothing is open."""


class WandbTracker(JsonlTracker):
    """`JsonlTracker` and one W&B run, offline by default; rank 0 only, no identifiers."""

    def __init__(self, path: Path, title: str, track: Track, run_id: str, config: Record) -> None:
        super().__init__(path, title)
        import wandb

        self.run = wandb.init(
            project=track.project,
            group=track.group or run_id.rsplit("-", 1)[0],
            job_type=title,
            name=run_id,
            id=run_id,
            resume="allow",
            mode=track.wandb,
            dir=path.parent.parent,
            config=config,
            settings=wandb.Settings(silent=True, console="off", x_disable_stats=True),
        )

    def log(self, record: Record) -> None:
        """To the file, then to W&B."""
        super().log(record)
        self.run.log({k: v for k, v in record.items() if k != "step"}, step=record["step"])

    def close(self) -> None:
        """End the W&B run."""
        self.run.finish()


def tracker_for(
    path: Path, title: str, track: Track, run_id: str, config: Record, main: bool
) -> Tracker:
    """Rank 0's tracker, or none."""
    if not main:
        return NullTracker()
    if track.wandb == "disabled":
        return JsonlTracker(path, title)
    return WandbTracker(path, title, track, run_id, config)


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
