"""What is known to be logged of some runs: keys that a panel may name, and no others.

    known = Known.of([run_a, run_b])
    known.keys, known.history, known.varied

Evaluations are asked what they would log, trainings what their ``metrics.jsonl`` hold; settings
that differ between the runs are what a sweep varied.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval.dashboards.identity import config_of, evaluation
from eval.dashboards.log import logged_pictures
from eval.dashboards.told import Told
from training.tracking.records import numbers, summary_of
from training.tracking.sync import recorded_of, tracked


@dataclass(frozen=True)
class Known:
    """Keys of several runs together.

    - evaluations: of the runs' evaluations, in each of them or in some.
    - cohorts: as they are called in keys; those that chose thresholds last.
    - history, summary: of training, stage by stage, or of trials of a sweep.
    - varied: settings, dotted, in which the runs differ.
    - project: of W&B, where the first run is logged. groups: that the runs are in.
    """

    evaluations: frozenset[str]
    cohorts: tuple[str, ...]
    history: frozenset[str]
    summary: frozenset[str]
    varied: tuple[str, ...]
    project: str
    groups: tuple[str, ...]

    @classmethod
    def of(cls, told: Mapping[Path, Told]) -> Known:
        """Of evaluated runs, by their folders; at least one."""
        who = [evaluation(folder) for folder in told]
        keys = {k for t in told.values() for k in t.keys}
        keys |= {k for w in who for k in logged_pictures(w) or ()}
        history, summary = set(), set()
        for folder in told:
            config = config_of(folder)
            for recorded in map(recorded_of, tracked(folder, config) if config else ()):
                names = (
                    numbers({k: v for k, v in r.items() if k != "step"}) for r in recorded.records
                )
                history |= {k for record in names for k in record}
                summary |= set(summary_of(recorded))
        return cls(
            evaluations=frozenset(keys),
            cohorts=_cohorts(told.values()),
            history=frozenset(history),
            summary=frozenset(summary),
            varied=varied([w.config for w in who]),
            project=who[0].project,
            groups=tuple(dict.fromkeys(w.group for w in who)),
        )

    def having(self, *keys: str) -> list[Any]:
        """Those of the keys that an evaluation logs."""
        return [k for k in keys if k in self.evaluations]


def _cohorts(told: Any) -> tuple[str, ...]:
    found = {
        k.split("/")[1] for t in told for k in t.keys if k.startswith("eval/") and k.count("/") > 1
    }
    return tuple(sorted(found, key=lambda c: (c.endswith(("-tune", "-train")), c)))


def varied(configs: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Dotted names of settings that are numbers, words or switches, and not the same in all."""
    each = [dict(_leaves(c)) for c in configs]
    names = dict.fromkeys(name for leaves in each for name in leaves)
    return tuple(n for n in names if len({repr(leaves.get(n)) for leaves in each}) > 1)


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{name}.")
        elif not isinstance(value, list):
            yield f"{prefix}{name}", value
