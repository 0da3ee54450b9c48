"""What can be wrong before a run: pure functions from facts to a `Check`.

Each takes what `cluster.facts` measured and returns one line and, unless it is ok, the fix. `warn`
is for what works worse or only in part, `fail` for what makes a run stop.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

GiB = 2**30


@dataclass(frozen=True)
class Check:
    """One line of the doctor's report."""

    name: str
    status: Literal["ok", "warn", "fail"]
    line: str
    fix: str = ""
