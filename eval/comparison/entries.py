"""What a model of a run said of a cohort, in codes that all runs of the comparison share.

Keys and patients are numbered once a cohort name over every run, so that matching and clustering
work on integers, and rows of two runs with one number are the same picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from eval.clinical.beside import judged
from eval.frames import Frame
from eval.runs import Run, is_tuning

COLUMNS = ["model", "key", "patient", "label", "probability"]


@dataclass(frozen=True)
class Entry:
    """Labelled rows, sorted by key: parallel arrays [n]."""

    run: str
    cohort: str
    model: str
    key: NDArray[np.int64]
    patient: NDArray[np.int64]
    label: NDArray[np.int64]
    probability: NDArray[np.float64]
    threshold: float | None


def entries(
    runs: dict[str, Run], thresholds: dict[tuple[str, str, str], float | None]
) -> list[Entry]:
    """Every model of every run on every cohort but those that chose thresholds.

    Args:
        runs: name in the comparison -> run, whose predictions have been checked.
        thresholds: (run, cohort, model) in the order wanted -> frozen threshold.
    """
    cohorts = list(dict.fromkeys(c for _, c, _ in thresholds if not is_tuning(c)))
    frames = {
        (name, cohort): judged(run, cohort).frame[COLUMNS]
        for cohort in cohorts
        for name, run in runs.items()
        if cohort in run.cohorts
    }
    numbers = _numbers([f["patient"] for f in frames.values()])
    patients = dict(zip(frames, numbers, strict=True))
    found = {}
    for cohort in cohorts:
        here = [at for at in frames if at[1] == cohort]
        keys = _numbers([frames[at]["key"] for at in here])
        for at, key in zip(here, keys, strict=True):
            frame, patient = frames[at], patients[at]
            for model, rows in _labelled(frame).items():
                place = (at[0], cohort, model)
                found[place] = _entry(place, frame, rows, key, patient, thresholds.get(place))
    return [found[place] for place in thresholds if place in found]


def _entry(
    place: tuple[str, str, str],
    frame: Frame,
    rows: NDArray[np.int64],
    key: NDArray[np.int64],
    patient: NDArray[np.int64],
    threshold: float | None,
) -> Entry:
    rows = rows[np.argsort(key[rows], kind="stable")]
    return Entry(
        *place,
        key[rows],
        patient[rows],
        frame["label"].to_numpy(np.float64, na_value=np.nan)[rows].astype(np.int64),
        frame["probability"].to_numpy(np.float64)[rows],
        threshold,
    )


def _labelled(frame: Frame) -> dict[str, NDArray[np.int64]]:
    """Model -> places of its rows with a label."""
    known = frame["label"].notna().to_numpy()
    codes, names = pd.factorize(frame["model"])
    return {str(n): np.flatnonzero(known & (codes == i)) for i, n in enumerate(names)}


def _numbers(columns: list[Frame]) -> list[NDArray[np.int64]]:
    """Columns of text as numbers; equal texts have equal numbers, across columns too."""
    if not columns:
        return []
    codes = pd.factorize(pd.concat([c.astype("string") for c in columns], ignore_index=True))[0]
    return np.split(codes.astype(np.int64), np.cumsum([len(c) for c in columns])[:-1])
