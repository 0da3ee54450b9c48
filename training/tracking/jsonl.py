"""``metrics.jsonl``: the truth that all else is fed from, and the lines a person reads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from data_sharding.schema import write_atomic
from training.tracking.progress import Progress
from training.tracking.records import finite, read, to_line
from training.tracking.say import say
from training.tracking.tracker import Record

#: Of a record, what a person reads in the log, besides what the tune split says; the file has all.
SAID = ("train/loss", "train/grad_norm", "perf/samples_per_s", "perf/wait_share")


class JsonlTracker:
    """A `Tracker` that writes one record a line, and says it in words."""

    def __init__(
        self,
        path: Path,
        title: str,
        echo: Callable[[str], None] | None = None,
        epochs: int | None = None,
    ) -> None:
        """Write to `path`; `title` begins each line that is said, `epochs` are those to come."""
        self.path, self.title, self.echo = path, title, echo or say
        self.progress = Progress(title, epochs, self.echo)
        path.parent.mkdir(parents=True, exist_ok=True)

    def resume(self, step: int) -> None:
        """Cut the file back to the records up to `step`; what cannot be read is named and cut."""
        if not self.path.exists():
            return
        found = read(self.path)
        for problem in found.problems:
            self.echo(f"{self.title}: {problem}")
        kept = [r for r in found.records if r["step"] <= step]
        write_atomic(self.path, "".join(to_line(r) for r in kept))
        if step:
            self.echo(f"{self.title}: resuming at step {step}")

    def log(self, record: Record) -> None:
        """Append, and say it in words; a number that is not finite is written as null."""
        self.progress.close()
        self._append(record)
        rest = {k: v for k, v in record.items() if k not in ("step", "epoch")}
        said = {k: v for k, v in rest.items() if k in SAID or k.startswith("tune/")} or rest
        words = "  ".join(f"{k.split('/')[-1]} {_short(v)}" for k, v in said.items())
        self.echo(f"{self.title}: epoch {record['epoch']} step {record['step']}  {words}")
        if wrong := [k for k, v in rest.items() if finite(v) != v]:
            self.echo(f"{self.title}: warning: not finite: {', '.join(wrong)}")

    def summary(self, values: Record) -> None:
        """Append in place of an earlier one."""
        records = read(self.path).records
        write_atomic(self.path, "".join(to_line(r) for r in records))
        self._append({"step": records[-1]["step"] if records else 0, "summary": values})

    def _append(self, record: Record) -> None:
        with self.path.open("a") as f:
            f.write(to_line(record))

    def close(self) -> None:
        """Nothing is open but the bar."""
        self.progress.close()


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
