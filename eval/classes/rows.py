"""The rows that every system is judged on: the same pictures, patients and categories for all.

Systems that saw different pictures cannot be set against each other, and two stages that did cannot
be one system; so whatever is not the same is refused, with an example. A category that only some
files tell holds for all; rows without one are counted and left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eval.classes.compose import LOW, OSTEOPOROSIS
from eval.classes.sources import Source
from eval.frames import Frame


@dataclass(frozen=True)
class Rows:
    """One cohort. `known` bool [all rows] picks those with a category, `truth` and `patient` [n]
    are of these."""

    cohort: str
    known: NDArray[np.bool_]
    truth: NDArray[np.int64]
    patient: NDArray[np.str_]

    @property
    def left_out(self) -> int:
        """Rows without a category."""
        return int((~self.known).sum())


def shared_cohorts(sources: Sequence[Source], asked: Sequence[str]) -> tuple[list[str], list[str]]:
    """Cohorts to judge, and those left out because nobody in them has a category.

    Args:
        sources: everything that is compared.
        asked: cohorts to keep to; all by default, and then all sources must have the same.

    Raises:
        ValueError: a cohort is only in some sources, or no cohort has categories.
    """
    every = list(dict.fromkeys(c for s in sources for c in s.frames))
    if unknown := [c for c in asked if c not in every]:
        raise ValueError(f"no cohort {unknown[0]}; there is {', '.join(every) or 'none'}")
    wanted = list(dict.fromkeys(asked)) or every
    told = [c for c in wanted if any(_told(s.frames[c]) for s in sources if c in s.frames)]
    only = {s.name: [c for c in told if c not in s.frames] for s in sources}
    if lacking := [f"{name} lacks {', '.join(found)}" for name, found in only.items() if found]:
        both = [c for c in told if all(c in s.frames for s in sources)]
        hint = f"; judge those that all have by --cohort {both[0]}" if both else ""
        raise ValueError(f"not the same cohorts: {'; '.join(lacking)}{hint}")
    if not told:
        raise ValueError(
            f"no picture of {', '.join(wanted)} has a category (0 normal, 1 low bone mass, "
            "2 osteoporosis): pack with labels that tell the three, then predict again"
            if wanted
            else "no predictions in any of the runs"
        )
    return told, [c for c in wanted if c not in told]


def common_rows(cohort: str, sources: Sequence[Source]) -> Rows:
    """The rows of a cohort, if they are the same everywhere.

    Raises:
        ValueError: keys, patients or categories differ, or a label contradicts its category.
    """
    for source in sources:
        _all_named(source, cohort)
    first = sources[0]
    frame = first.frames[cohort]
    keys = frame["key"].to_numpy(str)
    category = _category(first, cohort)
    for other in sources[1:]:
        beside = other.frames[cohort]
        _same_keys(cohort, first, keys, other, beside["key"].to_numpy(str))
        _same(cohort, "patient", keys, first, frame["patient"], other, beside["patient"])
        found = _category(other, cohort)
        both = ~np.isnan(found) & ~np.isnan(category)
        where = np.flatnonzero(both & (found != category))
        if where.size:
            _refuse(cohort, "category", keys, where, first, category, other, found)
        category = np.where(np.isnan(category), found, category)
    for source in sources:
        _labels_agree(source, cohort, category)
    known = ~np.isnan(category)
    patient = frame["patient"].to_numpy(str)[known]
    return Rows(cohort, known, category[known].astype(np.int64), patient)


def _told(frame: Frame) -> bool:
    return bool(frame["category"].notna().any())


def _category(source: Source, cohort: str) -> NDArray[np.float64]:
    values = source.frames[cohort]["category"].to_numpy(np.float64, na_value=np.nan)
    odd = ~np.isnan(values) & ~np.isin(values, (0, 1, 2))
    if odd.any():
        raise ValueError(
            f"{source.name}, {cohort}: category {values[odd][0]:g}; it is 0 normal, "
            "1 low bone mass or 2 osteoporosis"
        )
    return values


def _all_named(source: Source, cohort: str) -> None:
    """Rows without a key cannot be matched, nor those without a patient resampled."""
    for what in ("key", "patient"):
        if missing := int(source.frames[cohort][what].isna().sum()):
            n = len(source.frames[cohort])
            raise ValueError(f"{source.name}, {cohort}: {missing} of {n} rows have no {what}")


def _same_keys(
    cohort: str, first: Source, a: NDArray[np.str_], other: Source, b: NDArray[np.str_]
) -> None:
    if np.array_equal(a, b):
        return
    gone, more = np.setdiff1d(a, b), np.setdiff1d(b, a)
    parts = [
        f"{found.size} only in {source.name}, such as {found[0]}"
        for source, found in ((first, gone), (other, more))
        if found.size
    ]
    raise ValueError(
        f"{cohort}: not the same pictures: {'; '.join(parts)}. All models must have predicted "
        "everybody, those with osteoporosis too"
    )


def _same(
    cohort: str, what: str, keys: NDArray, first: Source, a: Frame, other: Source, b: Frame
) -> None:
    here, there = a.to_numpy(str), b.to_numpy(str)
    where = np.flatnonzero(here != there)
    if where.size:
        _refuse(cohort, what, keys, where, first, here, other, there)


def _refuse(
    cohort: str,
    what: str,
    keys: NDArray,
    where: NDArray[np.int64],
    first: Source,
    a: NDArray,
    other: Source,
    b: NDArray,
) -> None:
    at = int(where[0])
    values = [f"{v:g}" if isinstance(v, float) else str(v) for v in (a[at], b[at])]
    raise ValueError(
        f"{cohort}: {where.size} of {keys.size} pictures have another {what}, such as {keys[at]}: "
        f"{values[0]} in {first.name}, {values[1]} in {other.name}"
    )


def _labels_agree(source: Source, cohort: str, category: NDArray[np.float64]) -> None:
    """A label is of what the model learnt: one that contradicts the category is of something else.

    Raises:
        ValueError: it does.
    """
    label = source.frames[cohort]["label"].to_numpy(np.float64, na_value=np.nan)
    if source.task == "osteoporosis":
        rows, expected = category >= 0, category == OSTEOPOROSIS
    elif source.task == "low bone mass":
        rows, expected = category <= LOW, category == LOW
    else:
        rows, expected = category >= 0, category >= LOW
    wrong = rows & ~np.isnan(label) & (label != expected)
    if wrong.any():
        at = int(np.flatnonzero(wrong)[0])
        key = source.frames[cohort]["key"].iloc[at]
        raise ValueError(
            f"{source.name}, {cohort}: {int(wrong.sum())} labels contradict the category, such as "
            f"of {key}: label {label[at]:g}, category {category[at]:g}. Is this the model of "
            f"{source.task}?"
        )
