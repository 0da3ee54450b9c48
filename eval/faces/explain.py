"""A run's faces explained: what faces.json holds, and what is drawn of it.

told = explain(run, settings=Settings())
told.faces         # of groups: may be written, printed, sent
told.seen, told.values    # of people: stay in memory
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_sharding.schema import sha256_file
from eval.faces.region_shap import REGIONS
from eval.faces.seen import Seen
from eval.faces.shapes import Additivity, Faces, Settings
from eval.faces.tables import alikeness, leading, sanity, tables
from eval.faces.values import Values, values
from eval.runs import Run

NOT_ASKED = "not asked for (--show-faces)"
NO_CONSENT = "the packed faces do not say that they may be shown (consent.json of the study)"


@dataclass(frozen=True)
class Told:
    """`show` is true only where it was asked for and everybody here agreed."""

    faces: Faces
    seen: Seen
    values: Values
    show: bool


def explain(
    run: Path,
    model: str | None = None,
    cohort: str | None = None,
    settings: Settings | None = None,
    show_faces: bool = False,
) -> Told:
    """Explain the faces of one cohort of a run.

    Args:
        run: the run's folder.
        model: whose answers; by default as `Eyes.of` chooses.
        cohort: by default the first that nothing was tuned on.
        settings: how to look.
        show_faces: faces may be drawn where the people agreed.

    Raises:
        ValueError: weights, packs or predictions are missing, unreadable, or not of faces.
    """
    settings = settings or Settings()
    seen = Seen.of(Run.at(run).folder, model, cohort, settings)
    found = values(seen, settings)
    show = show_faces and seen.may_show
    faces = Faces(
        run=str(seen.eyes.run.facts.get("run_id") or run.name),
        model=seen.eyes.name,
        weights_sha256=sha256_file(seen.eyes.weights / "model.safetensors"),
        cohort=seen.cohort,
        classes=seen.classes,
        regions=REGIONS,
        settings=settings,
        references=_references(seen, settings),
        embedding=bool(getattr(seen.eyes.loaded[0], "embedded", False)),
        size=found.size[0],
        pictures=len(seen),
        patients=len(set(found.patient)),
        accuracy=float(found.right.mean()),
        additivity=_additivity(found),
        tables=tables(found, seen.classes, settings),
        leading=leading(found, seen.classes, settings),
        sanity=sanity(found),
        alikeness=alikeness(found, seen.classes, settings),
        no_pixels=found.no_pixels,
        not_shown=None if show else NO_CONSENT if show_faces else NOT_ASKED,
        notes=_notes(seen, found, settings),
    )
    return Told(faces, seen, found, show)


def _references(seen: Seen, settings: Settings) -> str:
    """What a region is replaced by, in words."""
    splits = sorted({str(pack.index["split"].iloc[row]) for pack, row in seen.others})
    people = f"{len(seen.others)} other people ({', '.join(splits)} split), drawn blind to class"
    return {
        "people": f"the same places of the faces of {people}, one after the other",
        "mean": f"the same places of the mean face of {people}",
        "blurred": "the same places of the same face, blurred",
        "black": "black",
    }[settings.reference]


def _additivity(v: Values) -> Additivity:
    gaps = np.abs(v.pixels.gap) if v.pixels else None
    apart = np.abs(v.full - v.base)[np.arange(len(v.truth)), v.truth]
    return Additivity(
        regions=float(v.residual.max()),
        pixels=None if gaps is None else float(gaps.max()),
        pixels_mean=None if gaps is None else float(gaps.mean()),
        range=float(apart.mean()),
    )


def _notes(seen: Seen, v: Values, settings: Settings) -> tuple[str, ...]:
    notes = []
    if settings.reference in ("people", "mean") and len(seen.others) < settings.people:
        notes.append(
            f"Only {len(seen.others)} people were left to compare with, of {settings.people}."
        )
    if settings.score == "logit":
        notes.append(
            "A class's logit was explained: a number added to all logits changes it, and no answer."
        )
    if not v.right.any():
        notes.append("The model answers none of these pictures rightly.")
    return tuple(notes)
