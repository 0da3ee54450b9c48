"""What makes a run another one than the first: its settings and its datasets.

An ablation takes one thing away. If the seed, the epochs or the data changed with it, the table
would show their effect under another name; so what differs is printed under the table.
"""

from __future__ import annotations

from typing import Any

import yaml

from eval.places import without_places
from eval.runs import Run

#: Longer values are cut.
LONGEST = 60
#: Where and how a run was made, not what was learnt.
PLACES = ("paths", "compute", "track", "recipe", "predict")


def settings(run: Run) -> dict[str, str]:
    """config.yaml as dotted name -> text; {} where there is none that can be read."""
    try:
        config = yaml.safe_load(run.config)
    except yaml.YAMLError:
        return {}
    return dict(sorted(_flat(config, ""))) if isinstance(config, dict) else {}


def changed(first: Run, other: Run) -> tuple[tuple[str, str, str], ...]:
    """Settings that are not the same, as (name, first's value, the other's); "" where not set."""
    a, b = settings(first), settings(other)
    names = sorted({n for n in (*a, *b) if n.split(".")[0] not in PLACES})
    return tuple((n, a.get(n, ""), b.get(n, "")) for n in names if a.get(n) != b.get(n))


def data(first: Run, other: Run) -> str:
    """What is not the same of the datasets; "" where all is, or neither says."""
    a, b = _hashes(first), _hashes(other)
    if a == b:
        return ""
    if not a or not b:
        return "run.json does not say which datasets it was made with"
    odd = sorted(n for n in {*a, *b} if a.get(n) != b.get(n))
    return f"made with other data: {', '.join(odd)}"


def _hashes(run: Run) -> dict[str, str]:
    named = run.facts.get("manifests")
    entries = named.items() if isinstance(named, dict) else ()
    return {str(n): str(e.get("hash") or "") for n, e in entries if isinstance(e, dict)}


def _flat(value: Any, name: str) -> list[tuple[str, str]]:
    if isinstance(value, dict):
        return [
            pair
            for key, inner in value.items()
            for pair in _flat(inner, f"{name}.{key}" if name else str(key))
        ]
    text = "" if value is None else without_places(str(value))
    return [(name, text if len(text) <= LONGEST else text[: LONGEST - 1] + "…")]
