"""What the linter says about one cell, or about cells that cannot all be right."""

from __future__ import annotations

from typing import Literal

from data_sharding.schema import Strict

Severity = Literal["impossible", "not a proportion of n: averaged?", "misprint?"]
IMPOSSIBLE: Severity = "impossible"
AVERAGED: Severity = "not a proportion of n: averaged?"
MISPRINT: Severity = "misprint?"


class Finding(Strict):
    """One contradiction.

    - severity: ``impossible`` (no set of patients gives these numbers), ``not a proportion of n:
      averaged?`` (no count out of n is printed like this, a mean over models or resamples may be)
      or ``misprint?`` (one cell disagrees with all the others, or a usual method never gives it).
    - row, column: where; a column may name several cells.
    - numbers: the numbers that disagree, as printed or as computed.
    - rule: the rule that was broken, in a few words.
    - sentence: what a clinician should know.
    - nearest: the nearest value that would be consistent, where there is one.
    """

    severity: Severity
    row: str
    column: str
    numbers: dict[str, str]
    rule: str
    sentence: str
    nearest: str | None = None

    def line(self) -> str:
        """One line for a terminal."""
        end = f" Nearest consistent: {self.nearest}." if self.nearest else ""
        return f"{self.severity}: {self.row}, {self.column}: {self.sentence}{end}"
