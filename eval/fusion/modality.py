"""One run as late fusion reads it: a probability and a label a patient, and the patient's role.

A run's tuning cohorts (and the out-of-fold rows of a cross-validated one) may be fitted to; all its
other cohorts are to be judged, and nothing is fitted to those. A patient in both is refused.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from eval.classes.rows import common_rows
from eval.classes.sources import Source, Task, split
from eval.clinical.split import packed_rows
from eval.frames import Frame
from eval.fusion.shapes import Event
from eval.peer import as_run
from eval.runs import Run, is_tuning

#: What a patient's row is made of, besides.
FACTS = ["age", "sex", "height_cm", "weight_kg", "source", "vendor"]
EITHER: Event = "low bone mass or osteoporosis"


@dataclass(frozen=True)
class Modality:
    """`people`: a row a patient, by name: cohort, fitted (bool), probability, label, `FACTS`.

    `learnt_from` are the patients of the training split, None where the dataset cannot be read;
    `key_id` is its pseudonym key's fingerprint, `policy` what labelled it, "" there.
    """

    name: str
    source: Source
    people: Frame
    learnt_from: frozenset[str] | None
    key_id: str
    policy: str


def task_of(named: str) -> Task:
    """What a run learnt, as run.json or its columns say.

    Raises:
        ValueError: it cannot be read, or foretells fractures.
    """
    run = Run.at(as_run(split(named)[0]))
    target = str(run.facts.get("target") or "")
    if target == "three classes" or target == "osteoporosis" or target == "low bone mass":
        return target
    if target:
        raise ValueError(f"{named}: learnt {target}: late fusion is of bone mass by DXA")
    frames = [run.predictions(c) for c in run.cohorts]
    three = any(f["p_osteoporosis"].notna().any() for f in frames)
    return "three classes" if three else "low bone mass"


def event_of(tasks: tuple[Task, Task]) -> Event:
    """What the fused probability is of.

    Raises:
        ValueError: the runs learnt things that cannot be one.
    """
    if "osteoporosis" not in tasks:
        return EITHER
    if "low bone mass" in tasks:
        raise ValueError(
            "one run learnt low bone mass and the other osteoporosis: their scores are not of one "
            "thing; fuse runs of one target, or one of three classes"
        )
    return "osteoporosis"


def modality(name: str, named: str, task: Task, event: Event) -> Modality:
    """Read a run.

    Args:
        name: "face" or "CXR".
        named: RUN or RUN:MODEL.
        task: what it learnt.
        event: what is to be told.

    Raises:
        ValueError: as `Source.at`; a patient who is both tuned on and judged, or in two cohorts
            that are, or has several labels; a patient to be judged whom the run learnt from.
    """
    source = Source.at(named, task)
    parts = [_people(source, c, event) for c in source.frames]
    if not parts:
        raise ValueError(f"{source.name}: no predictions in it")
    people = pd.concat(parts)
    if (twice := people.index[people.index.duplicated()].unique()).size:
        places = people.loc[[twice[0]], "cohort"].tolist()
        raise ValueError(
            f"{name}, {source.name}: {twice.size} patients are in two cohorts, such as {twice[0]} "
            f"in {' and '.join(places)}: nobody may be fitted to and judged"
        )
    learnt_from, key_id, policy = _pack(source.run)
    # of a cross-validated run the training patients' own scores are out of fold
    seen = people.index if learnt_from is None else people.index[_in_sample(people)]
    if learnt_from is not None and (both := sorted(learnt_from.intersection(seen))):
        raise ValueError(
            f"{name}, {source.name}: {len(both)} patients whom it learnt from are among those "
            f"predicted, such as {both[0]}: split by patient"
        )
    return Modality(name, source, people, learnt_from, key_id, policy)


def _in_sample(people: Frame) -> np.ndarray:
    return ~people["cohort"].str.endswith("-train").to_numpy(bool)


def _people(source: Source, cohort: str, event: Event) -> Frame:
    """One row a patient: the mean probability of their pictures; their first picture's facts."""
    frame = source.frames[cohort]
    common_rows(cohort, [source])  # refuses labels that contradict categories, and odd ones
    category = frame["category"].to_numpy(np.float64, na_value=np.nan)
    label = frame["label"].to_numpy(np.float64, na_value=np.nan)
    if source.task == "three classes":
        p = source.three(cohort)
        probability = p[:, 2] if event == "osteoporosis" else 1 - p[:, 0]
    else:
        probability = frame["probability"].to_numpy(np.float64)
    positive = category >= (2 if event == "osteoporosis" else 1)
    known = np.where(np.isnan(category), np.nan, positive.astype(float))
    if source.task != "three classes" or event == EITHER:
        known = np.where(np.isnan(known), label, known)
    rows = frame[["patient", *FACTS]].assign(
        patient=frame["patient"].astype(str), probability=probability, known=known
    )
    grouped = rows.groupby("patient", sort=True)
    labels = grouped["known"].agg(["min", "max"])
    if (odd := labels.index[(labels["min"] != labels["max"]) & labels["min"].notna()]).size:
        raise ValueError(
            f"{source.name}, {cohort}: {odd.size} patients have pictures with different labels, "
            f"such as {odd[0]}"
        )
    out = rows.drop_duplicates("patient").set_index("patient").sort_index()[FACTS]
    return out.assign(
        cohort=cohort,
        fitted=is_tuning(cohort),
        probability=grouped["probability"].mean(),
        label=labels["min"],
    )


def _pack(run: Run) -> tuple[frozenset[str] | None, str, str]:
    """Training patients, fingerprint of the key, label policy; None, "" and "" where unreadable."""
    try:
        manifest, _, index = packed_rows(run)
    except ValueError:
        return None, "", ""
    train = index.loc[index["split"] == "train", "patient"].astype(str)
    return frozenset(train), manifest.key_id, manifest.policy
