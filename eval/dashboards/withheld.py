"""What is of too few people to leave, by cohort and model."""

from __future__ import annotations

from eval.frames import Frame

#: What is withheld: all of a model's numbers, or those that need labels.
EVERYTHING, LABELS = "everything", "what needs labels"


def reasons(rows: Frame, least: int) -> dict[str, str]:
    """Why, by what is withheld; {} where all may leave.

    Args:
        rows: one model's predictions of a cohort.
        least: patients that a number may be of.
    """
    if rows["patient"].nunique() < least:
        return {EVERYTHING: f"fewer than {least} patients"}
    labelled = rows[rows["label"].notna()]
    if labelled.empty:
        return {LABELS: "nobody has a label"}
    sizes = [labelled.loc[labelled["label"] == c, "patient"].nunique() for c in (0, 1)]
    if min(sizes) < least:
        return {LABELS: f"fewer than {least} patients with a positive or with a negative label"}
    return {}


def most_pictures(frame: Frame) -> int:
    """Of one patient under one model; 1 of nobody."""
    counted = frame.groupby(["model", "patient"]).size()
    return int(counted.max()) if len(counted) else 1
