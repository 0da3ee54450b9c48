"""A cohort as clinical models read it: one row a picture, and the image model's score of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eval.clinical.features import CLINICAL, blank_implausible, columns
from eval.frames import Frame
from eval.runs import Run

#: Which image model the combined one reads if the run has several: the first of these.
PREFERRED = ("student", "image", "ensemble", "teacher")


@dataclass(frozen=True)
class Cohort:
    """One row a picture; `image` [n] is the image model's probability, NaN where it has none."""

    name: str
    rows: Frame
    image: NDArray[np.float64]
    emptied: dict[str, int]

    @property
    def scored(self) -> NDArray[np.bool_]:
        """Bool [n]: the image model said something."""
        return np.isfinite(self.image)


def chosen_image(run: Run, cohort: str, image: str | None) -> str:
    """The image model that the combined one reads.

    Raises:
        ValueError: `image` has no predictions of the cohort.
    """
    found = sorted(run.predictions(cohort)["model"].unique())
    if image is not None and image not in found:
        raise ValueError(f"{cohort}: no model {image!r}; there are {', '.join(found)}")
    if not found:
        raise ValueError(f"{cohort}: no predictions in it: let training predict it again")
    return image or next((m for m in PREFERRED if m in found), found[0])


def read_cohort(run: Run, name: str, image: str) -> Cohort:
    """One row a picture, the facts from the image model's rows where it has them.

    Raises:
        ValueError: unreadable, or wrong units.
    """
    frame = run.predictions(name)
    first = (frame["model"] != image).to_numpy(bool)
    rows = frame.iloc[np.argsort(first, kind="stable")].drop_duplicates("key").sort_values("key")
    probability = np.where(rows["model"] == image, rows["probability"], np.nan)
    rows, emptied = blank_implausible(rows.reset_index(drop=True))
    columns(rows, CLINICAL, name)  # refuses wrong units before anything is fitted
    return Cohort(name, rows, probability, emptied)


def labelled(run: Run, name: str) -> bool:
    """Whether some picture of the cohort has a DXA label."""
    return bool(run.predictions(name)["label"].notna().any())


def refuse_patients(cohorts: Mapping[str, Cohort], seen: frozenset[str], what: str) -> None:
    """Stop where a cohort has one of the patients `seen`, who are in `what`.

    Raises:
        ValueError: it has.
    """
    for name, cohort in cohorts.items():
        if both := sorted(seen.intersection(cohort.rows["patient"])):
            raise ValueError(
                f"{name}: {len(both)} patients are in {what} such as {both[0]}: a model would be "
                "judged on people it was fitted to; split by patient and train again"
            )
