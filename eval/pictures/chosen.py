"""Which pictures are shown, and which are measured: by rule, not by hand.

Shown are the surest right answers of each class, the worst wrong ones, and the surest proxy labels
of a public set, which has no reference. They show what the model looks at when it works and when it
fails, and are no evidence of how often it does either. Each map explains the model's own answer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np

from data_sharding.schema import CLASSES, SEVERITIES
from eval.frames import Frame
from eval.runs import Run, is_tuning

RIGHT = tuple(f"{name}, surest right answers" for name in CLASSES)
PROXY = tuple(f"{name}, surest proxy labels" for name in CLASSES)
MISSED = "low bone mass missed (false negatives), worst first"
ALARM = "normal but flagged (false positives), worst first"


@dataclass(frozen=True)
class Chosen:
    """A picture to explain for class `target`, the model's answer, in `group` of `where`."""

    where: str
    group: str
    caption: str
    key: str
    target: int


def choose(run: Run, model: str, per_group: int) -> list[Chosen]:
    """What to show: right answers of the first labelled cohort, wrong ones of each, proxies.

    A patient appears once in a group. Ties are broken by key.
    """
    chosen: list[Chosen] = []
    for cohort in labelled(run):
        frame = answered(run, cohort, model)
        frame = frame[frame["label"].notna()]
        if frame.empty:
            continue
        wrong = frame["label"] != frame["answer"]
        if not chosen:
            for c in (1, 0):
                rows = _by(frame[~wrong & (frame["label"] == c)], "probability", c == 0)
                chosen += _take(rows, cohort, RIGHT[c], per_group)
        missed = frame[wrong & (frame["label"] == 1)]
        worst = {name: -i for i, name in enumerate(SEVERITIES)}
        missed = missed.assign(band=missed["severity"].map(worst).astype(float).fillna(1.0))
        chosen += _take(_by(missed, "band", True, "probability"), cohort, MISSED, per_group)
        flagged = frame[wrong & (frame["label"] == 0)]
        chosen += _take(_by(flagged, "probability", False), cohort, ALARM, per_group)
    proxies = run.pseudo_labels
    if proxies is not None:
        kept = proxies[proxies["decision"].isin(CLASSES)]
        kept = kept.assign(answer=kept["decision"].map(CLASSES.index))
        for c in (1, 0):
            rows = _by(kept[kept["answer"] == c], "probability", c == 0)
            chosen += _take(rows, "public set", PROXY[c], per_group)
    return chosen


def measured(run: Run, cohort: str, model: str, per_answer: int) -> Frame:
    """Rows of one cohort to measure: as many for each answer, a fair draw, the same every time."""
    frame = answered(run, cohort, model)
    drawn = frame["key"].map(lambda key: hashlib.sha256(key.encode()).hexdigest())
    frame = frame.assign(drawn=drawn).sort_values("drawn")
    return frame.groupby("answer").head(per_answer).drop(columns="drawn")


def labelled(run: Run) -> list[str]:
    """The cohorts on which nothing was tuned; all where there is no other."""
    return [c for c in run.cohorts if not is_tuning(c)] or run.cohorts


def answered(run: Run, cohort: str, model: str) -> Frame:
    """A model's predictions of a cohort with its `answer`, 0 or 1; none without a threshold."""
    frame = run.predictions(cohort)
    frame = frame[(frame["model"] == model) & frame["threshold"].notna()]
    return frame.assign(answer=(frame["probability"] >= frame["threshold"]).astype(np.int64))


def _by(frame: Frame, column: str, ascending: bool, then: str = "key") -> Frame:
    columns = [column, then, "key"] if then != "key" else [column, "key"]
    return frame.sort_values(columns, ascending=[ascending, *[True] * (len(columns) - 1)])


def _take(rows: Frame, where: str, group: str, count: int) -> list[Chosen]:
    """The first rows, a patient once."""
    chosen = []
    for row in rows.drop_duplicates("patient").head(count).to_dict("records"):
        said = f"{str(row['key'])[:8]}: {_facts(row)}, P = {row['probability']:.2f}"
        chosen.append(Chosen(where, group, said, str(row["key"]), int(row["answer"])))
    return chosen


def _facts(row: dict[Hashable, Any]) -> str:
    """The reference, and the model's answer where it is another."""
    answer = CLASSES[row["answer"]]
    if "label" not in row:
        return f"proxy label {answer}"
    said = f"DXA {CLASSES[row['label']]}"
    if np.isfinite(row["lowest_t"]):
        said += f" (lowest T {row['lowest_t']:+.1f})".replace("-", "\u2212")
    return said if row["label"] == row["answer"] else f"{said}, the model says {answer}"
