"""The ledger: everything that did not go through, each with a reason, and the flow that adds up.

At every step in = out + excluded, checked when the step is entered. `ledger.csv` travels with
the shards and holds pseudonyms only; what an item is (a path, a row) stays in the private folder.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from data_sharding.schema import LEDGER_COLUMNS, REASONS, FlowStep

Unit = Literal["file", "row", "image", "patient"]

#: Nothing is wrong with these: the console counts them and shows no examples.
_EXPECTED = {
    *("lateral_view", "view_not_pa", "view_not_wanted", "not_selected", "patient_excluded"),
    *("finding", "under_age", "over_age", "no_image_file"),
}


class Refused(ValueError):
    """A file that is no use, and why.

    Args:
        reason: a code of `REASONS`.
        evidence: what was seen; goes into ledger.csv, so nothing here may identify a person.
        detail: more for the private folder, such as a library's own message.
    """

    def __init__(self, reason: str, evidence: str, detail: str = "") -> None:
        assert reason in REASONS, reason
        super().__init__(reason, evidence, detail)  # as args: survives pickling between processes
        self.reason, self.evidence, self.detail = reason, evidence, detail

    def __str__(self) -> str:
        return f"{REASONS[self.reason]}: {self.evidence}"


CRASH = Refused("undecodable", "the decoder crashed on it, or never came back")


class NothingUsable(ValueError):
    """There is nothing in the folder that could be packed."""


class Leaked(ValueError):
    """The same patient or picture is on two sides that must not meet."""


@dataclass(frozen=True)
class Exclusion:
    """One thing that did not go through a step. `item` and `patient` are real names: private."""

    item: str
    patient: str
    reason: str
    evidence: str
    detail: str = ""


def _natural(name: str) -> list[tuple[int, str]]:
    """To sort by: row 9 before row 10."""
    return [
        (int(part[:18]), "") if part.isdecimal() else (-1, part) for part in _DIGITS.split(name)
    ]


_DIGITS = re.compile(r"(\d+)")


@dataclass
class Ledger:
    """Steps in the order they were taken, and each exclusion with the step it happened at."""

    flow: list[FlowStep] = field(default_factory=list)
    rows: list[tuple[str, Unit, Exclusion]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def step(
        self,
        step: str,
        unit: Unit,
        n_in: int,
        n_out: int,
        excluded: Iterable[Exclusion] = (),
        summarised: Mapping[str, int] | None = None,
        after: str = "",
    ) -> None:
        """Enter one step.

        `summarised` are exclusions counted only, with no row of their own. `after` names a step of
        before that it goes on from, and next to which it stands in the flow.
        """
        rows = sorted(excluded, key=lambda e: (_natural(e.item), e.patient, e.reason))
        counts = Counter(row.reason for row in rows)
        counts.update(summarised or {})
        assert set(counts) <= set(REASONS), sorted(set(counts) - set(REASONS))
        assert n_in == n_out + counts.total(), f"{step}: {n_in} != {n_out} + {dict(counts)}"
        before = [box for box in self.flow if box.unit == unit and unit in ("patient", "image")]
        assert not before or before[-1].n_out == n_in, (
            f"{step}: {before[-1].n_out} came, not {n_in}"
        )
        counted = {reason: counts[reason] for reason in sorted(counts) if counts[reason]}
        box = FlowStep(step=step, unit=unit, n_in=n_in, excluded=counted, n_out=n_out)
        names = [b.step for b in self.flow]
        self.flow.insert(names.index(after) + 1 if after else len(names), box)
        self.rows.extend((step, unit, row) for row in rows)

    def to_csv(self, pseudonym: Callable[[str, str], str]) -> str:
        """``ledger.csv``: `pseudonym(kind, name)` hides items and patients."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(LEDGER_COLUMNS)
        for step, unit, row in self.rows:
            patient = pseudonym("patient", row.patient) if row.patient else ""
            item = patient if unit == "patient" else pseudonym("item", row.item)
            writer.writerow([step, unit, item, patient, row.reason, row.evidence])
        return out.getvalue()

    def private_csv(self, pseudonym: Callable[[str, str], str]) -> str:
        """``items.csv`` of the private folder: which path, row or patient each item is."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["item", "unit", "is", "reason", "detail"])
        for _, unit, row in self.rows:
            name = row.patient if unit == "patient" else row.item
            kind = "patient" if unit == "patient" else "item"
            writer.writerow([pseudonym(kind, name), unit, name, row.reason, row.detail])
        return out.getvalue()

    def summary(
        self, pseudonym: Callable[[str, str], str], show_paths: bool = False, examples: int = 3
    ) -> list[str]:
        """Lines for the terminal or a job's log: each step, its reasons, a few items of each.

        Files have their pseudonyms and no cell is quoted: a path or a cell may name a person.
        `show_paths` shows both.
        """
        lines = []
        shown: dict[tuple[str, str], list[str]] = defaultdict(list)
        for step, unit, row in self.rows:
            if unit == "patient" or row.reason in _EXPECTED:
                continue
            if len(shown[step, row.reason]) < examples:
                said = (
                    f"{row.evidence} {row.detail!r}" if row.detail and show_paths else row.evidence
                )
                item = row.item if show_paths else pseudonym("item", row.item)
                shown[step, row.reason].append(said if unit == "row" else f"{item} ({said})")
        for box in self.flow:
            lines.append(f"{box.step}: {box.n_in} {box.unit}s in, {box.n_out} out")
            for reason, count in box.excluded.items():
                some = shown.get((box.step, reason), [])
                more = f": {'; '.join(some)}" if some else ""
                more += " ..." if some and count > len(some) else ""
                lines.append(f"  {count:6d}  {REASONS[reason]}{more}")
        return lines + [f"note: {note}" for note in self.notes]
