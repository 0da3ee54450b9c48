"""Numbers and lists as the answers print them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from data_sharding.schema import REASONS
from eval.checklists.evidence import Missing
from eval.cohort import Metrics, ModelMetrics


def count(n: int, unit: str) -> str:
    """``1,204 patients``, ``1 patient``."""
    return f"{n:,} {unit}{'' if n == 1 else 's'}"


def joined(parts: Iterable[str]) -> str:
    """Sentences, each ended once and on a line of its own."""
    return "\n".join(p if p.endswith(".") else f"{p}." for p in parts)


def reasons(excluded: Mapping[str, int]) -> str:
    """``too young 162; no DXA 34``, the largest first."""
    ordered = sorted(excluded.items(), key=lambda x: (-x[1], x[0]))
    return "; ".join(f"{REASONS.get(r, r.replace('_', ' '))} {n:,}" for r, n in ordered)


def stated(where: str, value: Any, *keys: str) -> Any:
    """The value under nested keys.

    Raises:
        Missing: it is not there.
    """
    for key in keys:
        if not isinstance(value, Mapping) or key not in value:
            raise Missing(f"{where}: does not state {'.'.join(keys)}")
        value = value[key]
    return value


def number(value: Any) -> str:
    """A setting as short as it goes: 0.003, 2.634, none."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return "none" if value is None else str(value)


def known(n: int | None) -> str:
    """A count, or that it is kept back because so few people are behind it."""
    return "kept back" if n is None else f"{n:,}"


def of_each(metrics: Iterable[Metrics], say: Callable[[ModelMetrics], str]) -> str:
    """A sentence for each model of each cohort; `say` takes its `ModelMetrics`, '' is left out.

    Raises:
        Missing: nothing is said of any.
    """
    parts = [
        f"{m.cohort}, {x.model}: {said}" for m in metrics for x in m.models if (said := say(x))
    ]
    if not parts:
        raise Missing("metrics.json: no model was judged")
    return joined(parts)
