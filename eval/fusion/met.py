"""Who is in both runs, and what becomes of everybody else: each is counted once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from eval.frames import Frame
from eval.fusion.modality import FACTS, Modality
from eval.fusion.shapes import Met

#: Above this share of differing labels the runs are not about the same thing.
ODD = 0.05


@dataclass(frozen=True)
class Pairs:
    """`frames`: "fitted" and "judged" -> a row a patient: face, CXR (probabilities), label, cohort
    (of the face run) and facts. Nobody is in both."""

    frames: dict[str, Frame]
    met: tuple[Met, Met]


def pairs(face: Modality, cxr: Modality, mixed: bool) -> Pairs:
    """Put two runs together by patient.

    Args:
        face, cxr: the runs.
        mixed: whoever is tuning data of one run and test data of the other is fitted to.

    Raises:
        ValueError: nobody is in both, or their labels are of different things.
    """
    both = face.people.merge(cxr.people, left_index=True, right_index=True, suffixes=("", "_cxr"))
    if not len(both):
        keys = {m.key_id for m in (face, cxr)} - {""}
        why = (
            "their datasets were packed with different keys"
            if len(keys) > 1
            else "pack both datasets with one key and one --name, and predict the same people"
        )
        raise ValueError(f"no patient is in both {face.source.name} and {cxr.source.name}: {why}")
    a, b = both["label"].to_numpy(np.float64), both["label_cxr"].to_numpy(np.float64)
    odd = ~np.isnan(a) & ~np.isnan(b) & (a != b)
    told = int((~np.isnan(a) & ~np.isnan(b)).sum())
    if odd.sum() > ODD * max(told, 1):
        raise ValueError(
            f"{int(odd.sum())} of {told} patients in both have another label in each run, such as "
            f"{both.index[odd][0]}: were they packed with one label policy?"
        )
    label = np.where(np.isnan(a), b, a)
    merged = both[[*FACTS, "cohort"]].assign(
        face=both["probability"], CXR=both["probability_cxr"], label=label
    )
    tuned, tuned_cxr = both["fitted"].to_numpy(bool), both["fitted_cxr"].to_numpy(bool)
    apart = tuned != tuned_cxr
    usable = ~np.isnan(label) & ~odd
    roles = {
        "fitted": (tuned | tuned_cxr) if mixed else (tuned & tuned_cxr),
        "judged": ~tuned & ~tuned_cxr,
    }
    frames = {role: merged[rows & usable].sort_index() for role, rows in roles.items()}
    assert not frames["fitted"].index.intersection(frames["judged"].index).size
    if not len(frames["judged"]):
        raise ValueError(
            f"no labelled patient is test data of both {face.source.name} and {cxr.source.name}: "
            "their splits fall apart; pack them so that a patient is in one split of both"
        )

    def met(role: str, tune: bool) -> Met:
        rows = roles[role]
        one, other = (_only(m, n, tune) for m, n in ((face, cxr), (cxr, face)))
        left = apart & (tuned == tune) & ~rows
        return Met(
            role="fitted" if tune else "judged",
            both=int((rows & usable).sum()),
            only_face=one.size,
            only_cxr=other.size,
            learnt_from_by_cxr=_in(cxr, one),
            learnt_from_by_face=_in(face, other),
            other_role=int(left.sum()),
            unlabelled=int((rows & np.isnan(label)).sum()),
            disagree=int((rows & odd).sum()),
        )

    return Pairs(frames, (met("fitted", True), met("judged", False)))


def _only(here: Modality, there: Modality, tune: bool) -> pd.Index:
    """Patients of a role of whom the other run says nothing."""
    mine = here.people.index[here.people["fitted"].to_numpy(bool) == tune]
    return mine.difference(there.people.index)


def _in(modality: Modality, patients: pd.Index) -> int:
    return 0 if modality.learnt_from is None else sum(p in modality.learnt_from for p in patients)
