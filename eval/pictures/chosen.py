"""Which pictures are shown, and which are measured: by rule, not by hand.

Shown are the surest right answers of each class, the worst wrong ones, the highest and the lowest
scores of a cohort without any reference, and the surest proxy labels of a public set. They show
what the model looks at when it works and when it fails, and are no evidence of how often it does
either. Each map explains the model's own answer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from data_sharding.schema import CLASSES, SEVERITIES
from eval.frames import Frame
from eval.learnt import DEFAULT, Learnt
from eval.runs import Run, is_tuning

PROXY = tuple(f"{name}, surest proxy labels" for name in CLASSES)
#: Of a cohort that nobody measured.
LOWEST, HIGHEST = ("lowest scores (no DXA)", "highest scores (no DXA)")


def right(answer: int, learnt: Learnt = DEFAULT) -> str:
    """The name of the group of right answers."""
    return f"{learnt.of_answer(answer)}, surest right answers"


def wrong(answer: int, learnt: Learnt = DEFAULT) -> str:
    """The name of the group of wrong answers: missed (0), and flagged without need (1)."""
    if answer:
        return f"{learnt.negative} but flagged (false positives), worst first"
    return f"{learnt.positive} missed (false negatives), worst first"


@dataclass(frozen=True)
class Chosen:
    """A picture to explain for class `target`, the model's answer, in `group` of `where`."""

    where: str
    group: str
    caption: str
    key: str
    target: int


def choose(run: Run, model: str, per_group: int) -> list[Chosen]:
    """What to show: right answers of the first labelled cohort, wrong ones of each, the ends of
    each cohort without labels, proxies.

    A patient appears once in a group. Ties are broken by key.
    """
    chosen: list[Chosen] = []
    learnt, right_shown = run.learnt, False
    for cohort in judged(run):
        frame = answered(run, cohort, model)
        if frame["label"].isna().all():
            for group, ascending in ((HIGHEST, False), (LOWEST, True)):
                rows = _by(frame, "probability", ascending)
                chosen += _take(rows, cohort, group, per_group, learnt)
            continue
        frame = frame[frame["label"].notna()]
        false = frame["label"] != frame["answer"]
        if not right_shown:
            right_shown = True
            for c in (1, 0):
                rows = _by(frame[~false & (frame["label"] == c)], "probability", c == 0)
                chosen += _take(rows, cohort, right(c, learnt), per_group, learnt)
        missed = frame[false & (frame["label"] == 1)]
        worst = {name: -i for i, name in enumerate(SEVERITIES)}
        missed = missed.assign(band=missed["severity"].map(worst).astype(float).fillna(1.0))
        missed = _by(missed, "band", True, "probability")
        flagged = _by(frame[false & (frame["label"] == 0)], "probability", False)
        for answer, rows in ((0, missed), (1, flagged)):
            chosen += _take(rows, cohort, wrong(answer, learnt), per_group, learnt)
    proxies = run.pseudo_labels
    if proxies is not None:
        kept = proxies[proxies["decision"].isin(CLASSES)]
        kept = kept.assign(answer=kept["decision"].map(CLASSES.index))
        for c in (1, 0):
            rows = _by(kept[kept["answer"] == c], "probability", c == 0)
            chosen += _take(rows, "public set", PROXY[c], per_group, learnt)
    return chosen


def measured(run: Run, cohort: str, model: str, per_answer: int) -> Frame:
    """Rows of one cohort to measure: as many for each answer, a fair draw, the same every time."""
    frame = answered(run, cohort, model)
    drawn = frame["key"].map(lambda key: hashlib.sha256(key.encode()).hexdigest())
    frame = frame.assign(drawn=drawn).sort_values("drawn")
    return frame.groupby("answer").head(per_answer).drop(columns="drawn")


def judged(run: Run) -> list[str]:
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


def _take(rows: Frame, where: str, group: str, count: int, learnt: Learnt) -> list[Chosen]:
    """The first rows, a patient once."""
    chosen = []
    for row in rows.drop_duplicates("patient").head(count).to_dict("records"):
        said = f"{str(row['key'])[:8]}: {_facts(row, learnt)}, P = {row['probability']:.2f}"
        chosen.append(Chosen(where, group, said, str(row["key"]), int(row["answer"])))
    return chosen


def _facts(row: dict[Hashable, Any], learnt: Learnt) -> str:
    """The reference, and the model's answer where it is another."""
    if "label" not in row:
        return f"proxy label {CLASSES[row['answer']]}"
    answer = learnt.of_answer(row["answer"])
    if pd.isna(row["label"]):
        return f"no DXA, the model says {answer}"
    said = f"DXA {learnt.of_answer(int(row['label']))}"
    if np.isfinite(row["lowest_t"]):
        said += f" (lowest T {row['lowest_t']:+.1f})".replace("-", "\u2212")
    return said if row["label"] == row["answer"] else f"{said}, the model says {answer}"
