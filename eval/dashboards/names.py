"""Names as they may stand in a key: short, plain, and nobody's."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence

from data_sharding.pictures.vendors import MAKERS
from eval.cohort import Metrics
from eval.runs import MODELS, Run
from eval.subgroups import Subgroup
from eval.subgroups.levels import UNKNOWN
from training.tracking.records import PSEUDONYM

#: Levels that are said of everybody alike.
FIXED = ("sex", "age", "BMI", "severity")
LONGEST = 64
_SIGNS = {"≥": "from-", "≤": "to-", "<": "below-", ">": "above-"}


def slug(name: str) -> str:
    """A name as part of a key: letters, digits, dash and underscore.

    W&B takes a dot in a key for a field of what is before it, so a dot becomes an underscore.

    Raises:
        ValueError: it holds a pseudonym, which is a patient's or a picture's.
    """
    if PSEUDONYM.search(name):
        raise ValueError(f"{name[:12]}...: a pseudonym is no name for a cohort or a model")
    for sign, word in _SIGNS.items():
        name = name.replace(sign, word)
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", name.replace(".", "_"))
    return plain.strip("-_")[:LONGEST] or "unnamed"


def slugs(names: Iterable[str]) -> dict[str, str]:
    """Each name with a slug of its own; names that come to one slug are numbered."""
    found: dict[str, str] = {}
    for name in dict.fromkeys(names):
        first = slug(name)
        free, number = first, 1
        while free in found.values():
            number += 1
            free = f"{first}-{number}"
        found[name] = free
    return found


def last_model(metrics: Sequence[Metrics]) -> str | None:
    """The model that a run ends in: whose keys are the plain ones.

    The student, or else the last of the known stages, or else the first by name that reads
    pictures; None where nothing was predicted.
    """
    clinical = {c for m in metrics for c in m.clinical}
    names = {x.model for m in metrics for x in m.models}
    own = names - clinical or names
    known = [m for m in reversed(MODELS) if m in own]
    if "student" in own:
        return "student"
    return known[0] if known else min(own, default=None)


class Words:
    """What may be said of the levels of one model's subgroups: known names, or numbers."""

    def __init__(self, run: Run, found: Sequence[Subgroup]) -> None:
        manifests = run.facts.get("manifests")
        datasets = set(manifests) if isinstance(manifests, dict) else set()
        self.levels: dict[str, list[str]] = {}
        for g in found:
            if " x " not in g.by:
                self.levels.setdefault(g.by, []).append(g.level)
        self.said = {
            by: _numbered(by, names, datasets if by == "site" else MAKERS)
            for by, names in self.levels.items()
            if by not in FIXED
        }

    def level(self, by: str, level: str) -> str:
        """A level of a subgroup, or of two of them, as it may leave."""
        parts = by.split(" x ")
        if len(parts) == 1:
            return self.said.get(by, {}).get(level, level)
        for first in self.levels[parts[0]]:
            for second in self.levels[parts[1]]:
                if level == f"{first}, {second}":
                    return f"{self.level(parts[0], first)}, {self.level(parts[1], second)}"
        raise AssertionError(f"{by}: a crossed level is made of two that are listed")


def _numbered(by: str, names: Sequence[str], allowed: Collection[str]) -> dict[str, str]:
    others = [n for n in names if n not in allowed and n != UNKNOWN]
    numbers = {name: f"{by} {i}" for i, name in enumerate(others, 1)}
    return {name: numbers.get(name, name) for name in names}
