"""Reading ``metrics.jsonl``, whatever a kill, a full disk or an editor has done to it.

One JSON object a line: ``{"step": 400, "epoch": 2, "train/loss": 0.41}``, steps rising; the last
may be ``{"step": 400, "summary": {...}}``.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from training.tracking.tracker import Record

#: Patients, studies and samples are called by 20 hex digits (`data_sharding.private`).
PSEUDONYM = re.compile(r"(?<![0-9a-f])[0-9a-f]{20}(?![0-9a-f])")


@dataclass
class Recorded:
    """What a file held: records by rising step, the summary, and what could not be used."""

    records: list[Record] = field(default_factory=list)
    summary: Record = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def read(path: Path) -> Recorded:
    """All that can be read of a file; a file that is not there holds nothing."""
    found = Recorded()
    last = -1
    for n, line in enumerate(path.read_bytes().split(b"\n") if path.exists() else [], 1):
        if not line.strip():
            continue
        try:
            record = _parse(line)
        except (ValueError, RecursionError) as e:
            found.problems.append(f"{path.name} line {n} is passed over: {e}")
            continue
        if finite(record) != record:
            found.problems.append(f"{path.name} line {n}: what is not finite in it is left out")
        if "summary" in record:
            found.summary = record["summary"]
        elif record["step"] <= last:
            found.problems.append(
                f"{path.name} line {n} is passed over: step {record['step']} after step {last}"
            )
        else:
            found.records.append(record)
            last = record["step"]
    return found


def in_a_row(folder: Path, trainings: Iterable[str]) -> Iterator[tuple[str, Record]]:
    """Records of a run's trainings, one after the other: (training, record by the run's step).

    Args:
        folder: the run's.
        trainings: in their order, such as teacher, student; one that has no records is the last.
    """
    before = 0
    for name in trainings:
        records = read(folder / name / "metrics.jsonl").records
        if not records:
            return
        yield from ((name, {**r, "step": before + r["step"]}) for r in records)
        before += records[-1]["step"]


def _parse(line: bytes) -> Record:
    try:
        record = json.loads(line)
    except ValueError as e:
        raise ValueError("torn, or no JSON") from e
    if not isinstance(record, dict) or type(record.get("step")) is not int or record["step"] < 0:
        raise ValueError("no record with a step")
    if not isinstance(record.get("summary", {}), dict):
        raise ValueError("its summary is no object")
    return record


def to_line(record: Record) -> str:
    """A record as a line of the file; what is not finite becomes null."""
    return json.dumps(finite(record), allow_nan=False) + "\n"


def finite(value: Any) -> Any:
    """The same with None for what is not a finite number."""
    if isinstance(value, dict):
        return {k: finite(v) for k, v in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def numbers(record: Record) -> dict[str, float]:
    """What may leave the house: numbers by name (``a/b`` for nested ones).

    Texts and lists stay here, and so does what is named after a patient or a sample.
    """
    return {
        name: value
        for name, value in _leaves(record)
        if isinstance(value, int | float)
        and abs(value) < sys.float_info.max
        and not PSEUDONYM.search(name)
    }


def _leaves(tree: Record, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{name}/")
        else:
            yield f"{prefix}{name}", value


def summary_of(recorded: Recorded) -> dict[str, float]:
    """The stage's own summary, and the best epoch by AUROC on the tune split if it had any.

    Of a whole run the best epoch is its last scored training's.
    """
    scored = [n for r in recorded.records if "tune/auroc" in (n := numbers(r))]
    scored = [n for n in scored if n.get("training") == scored[-1].get("training")]
    best = max(scored, key=lambda n: n["tune/auroc"], default={})  # the first of equals
    found = {f"best/{k}": v for k, v in best.items() if k in ("tune/auroc", "epoch")}
    return found | numbers(recorded.summary)
