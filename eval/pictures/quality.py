"""Which pictures a cohort without labels is made of, and whether they are called positive alike.

RUN/report/quality.json, by `explain.quality_of`: by view, age, sex and vendor, and by what packing
had to do to the pixels of some pictures and not of others (a window that was missing, a negative, a
view that was assumed). Where nobody was measured this is all there is to tell a model that found
something from one that met other pictures.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data_sharding.schema import Manifest, Strict
from eval.estimate import Estimate, undefined
from eval.frames import Frame
from eval.intervals import proportion
from eval.scores import NO_THRESHOLD
from eval.subgroups.levels import UNKNOWN, levels
from eval.subgroups.suppression import hidden

#: Of fewer patients nothing is said.
LEAST = 5
#: Numbers in what was done: `window 2048/4096` and `window 2000/4000` are one kind of step.
NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:\.\d+)?(?![\w.]*\d)")
#: Reasons of the ledger that are of a picture and not of a person.
OF_PICTURES = (
    *("truncated", "no_pixels", "undecodable", "blank", "unreadable", "multi_frame", "colour"),
    *("too_large", "for_processing", "not_chest", "lateral_view", "view_missing", "wrong_modality"),
    *("under_exposed", "over_exposed", "looks_lateral", "looks_turned", "looks_inverted"),
    *("looks_not_chest", "same_bytes", "duplicate_file", "view_not_pa", "view_not_wanted"),
    *("finding", "support_devices", "no_readable_image"),
)


class Row(Strict):
    """Pictures of one kind; `pictures` is None where they are of too few patients to be told."""

    level: str
    pictures: int | None
    called_positive: Estimate


class Group(Strict):
    """One way to tell pictures apart; each is in one row."""

    name: str
    rows: tuple[Row, ...]


class Quality(Strict):
    """One cohort. `left_out`: of the pack, reason -> pictures, rows or files; `screened`: whether
    packing looked at each picture for being a well exposed frontal chest.
    """

    cohort: str
    model: str
    pack: str
    pictures: int
    groups: tuple[Group, ...]
    left_out: dict[str, int]
    screened: bool


class Qualities(Strict):
    """The content of quality.json."""

    format: Literal["osteoray-quality/1"] = "osteoray-quality/1"
    cohorts: tuple[Quality, ...]


def quality(
    frame: Frame,
    view: Sequence[str],
    applied: Sequence[Sequence[str]],
    manifest: Manifest,
) -> Quality:
    """Describe the pictures of a cohort by what is known of them.

    Args:
        frame: one model's predictions of it [n], checked.
        view: of each picture, '' where the source does not say.
        applied: what was done to the pixels of each, as `schema.Sample` has it.
        manifest: of the dataset that they are from.
    """
    ways = {s.name: s.of for s in levels(frame) if s.name in ("sex", "age", "vendor") and s.known}
    views = pd.Series([v or UNKNOWN for v in view], index=frame.index, dtype=object)
    ways = {"view": views} | ways
    done = [{kind(step) for step in steps} for steps in applied]
    for step in sorted(set().union(*done)):
        has = np.array([step in steps for steps in done])
        if not has.all():
            named = np.where(has, "yes", "no").astype(object)
            ways[f"packing: {step}"] = pd.Series(named, index=frame.index)
    return Quality(
        cohort=str(frame["cohort"].iloc[0]),
        model=str(frame["model"].iloc[0]),
        pack=manifest.name,
        pictures=len(frame),
        groups=tuple(
            Group(name=name, rows=_rows(frame, of.to_numpy(object))) for name, of in ways.items()
        ),
        left_out=left_out(manifest),
        screened=bool(manifest.settings.get("screen")),
    )


def kind(step: str) -> str:
    """What was done, without the numbers it was done with: ``window # to #``."""
    return step if step.startswith("decoded") else NUMBER.sub("#", step)


def left_out(manifest: Manifest) -> dict[str, int]:
    """Reasons of the flow that are of pictures, and how many did not go through for each."""
    counts: dict[str, int] = {}
    for step in manifest.flow:
        for reason, n in step.excluded.items():
            if reason in OF_PICTURES:
                counts[reason] = counts.get(reason, 0) + n
    return dict(sorted(counts.items()))


def _rows(frame: Frame, of: NDArray) -> tuple[Row, ...]:
    patient, names = (
        frame["patient"].to_numpy(str),
        sorted(set(of), key=lambda x: (x == UNKNOWN, x)),
    )
    away = hidden({name: np.unique(patient[of == name]).size for name in names}, LEAST)
    return tuple(_row(frame[of == name], name, name in away) for name in names)


def _row(frame: Frame, level: str, away: bool) -> Row:
    if away:
        why = f"kept back: fewer than {LEAST} patients, or such a group could be told from it"
        return Row(level=level, pictures=None, called_positive=undefined(why))
    called = undefined(NO_THRESHOLD)
    if frame["threshold"].notna().all():
        hits = (frame["probability"] >= frame["threshold"]).to_numpy()
        called = proportion(hits, pd.factorize(frame["patient"])[0], "no pictures")
    return Row(level=level, pictures=len(frame), called_positive=called)
