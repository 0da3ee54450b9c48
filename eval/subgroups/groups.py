"""One model in every group of a cohort: by one characteristic, and by two."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from eval.performance import Cases, distinct, performance
from eval.subgroups.gap import corrected, gap
from eval.subgroups.levels import Levels
from eval.subgroups.shapes import Gap, Subgroup
from eval.subgroups.suppression import hidden, hidden_cells

#: Splits by two characteristics, where both are known and have two levels at least.
CROSSED = (("sex", "age"), ("sex", "BMI"), ("age", "BMI"), ("site", "sex"), ("site", "vendor"))
METRICS = ("auroc", "sensitivity", "specificity")


@dataclass(frozen=True)
class Rule:
    """What is shown; `least` and `least_of_class` are those of `Settings`.

    - kept_back: characteristic -> levels that the whole cohort keeps back, whatever the model.
    """

    least: int = 5
    least_of_class: int = 10
    kept_back: Mapping[str, Collection[str]] = field(default_factory=dict)

    @property
    def reason(self) -> str:
        """Why a group is not there."""
        return f"kept back: fewer than {self.least} patients, or such a group could be told from it"


@dataclass(frozen=True)
class _Group:
    by: str
    level: str
    rows: NDArray[np.bool_]
    hidden: bool


def subgroups(
    splits: Sequence[Levels], cases: Cases, rule: Rule
) -> tuple[tuple[Subgroup, ...], int]:
    """Performance and gaps of every group, and how many gaps were tested.

    A test that is another's mirror, as of men where the others are women, is counted once.

    Args:
        splits: levels of the rows of `cases`.
        cases: the model's labelled rows.
        rule: what is shown.
    """
    found: list[tuple[Subgroup, bytes]] = []
    tests: dict[tuple[str, bytes], float] = {}
    for group in _groups(splits, cases, rule):
        if group.hidden:
            kept = Subgroup(
                by=group.by, level=group.level, performance=None, suppressed=rule.reason
            )
            found.append((kept, b""))
            continue
        some = group.rows.any() and not group.rows.all()
        apart = gap(cases, group.rows, rule.least, rule.least_of_class) if some else None
        inside = performance(cases.where(group.rows).compact(), rule.least_of_class)
        one = Subgroup(by=group.by, level=group.level, performance=inside, gap=apart)
        # a group and its complement are one question
        key = np.packbits(group.rows ^ group.rows[0]).tobytes() if some else b""
        found.append((one, key))
        for name in METRICS if apart else ():
            if (p := getattr(apart, name).p) is not None:
                tests[name, key] = p
    both = corrected(tests)
    return tuple(_corrected(s, key, both) for s, key in found), len(tests)


def _corrected(
    group: Subgroup, key: bytes, both: Mapping[tuple[str, bytes], tuple[float, float]]
) -> Subgroup:
    if group.gap is None:
        return group
    tested = {}
    for name in METRICS:
        one = getattr(group.gap, name)
        holm, bonferroni = both[name, key] if one.p is not None else (None, None)
        tested[name] = replace(one, p_holm=holm, p_bonferroni=bonferroni)
    return group.model_copy(update={"gap": Gap(**tested)})


def kept_back(splits: Sequence[Levels], patient: NDArray[np.int64], least: int) -> dict:
    """Characteristic -> levels that a cohort's labelled rows [n] are too few to show."""
    return {s.name: hidden(_sizes(s.of.to_numpy(), s.names, patient), least) for s in splits}


def _groups(splits: Sequence[Levels], cases: Cases, rule: Rule) -> Iterator[_Group]:
    """Those of one characteristic and then of two, each in its order."""
    listed = [s for s in splits if s.name in ("sex", "age") or s.told_apart > 1]
    margins = {}
    for split in listed:
        of = split.of.to_numpy()
        sizes = _sizes(of, split.names, cases.patient)
        also = rule.kept_back.get(split.name, ())
        margins[split.name] = hidden(sizes, rule.least, also)
        for level in split.names:
            yield _Group(split.name, level, of == level, level in margins[split.name])
    by_name = {s.name: s for s in listed if s.told_apart > 1}
    for pair in CROSSED:
        if not all(name in by_name for name in pair):
            continue
        first, second = (by_name[name] for name in pair)
        a, b = first.of.to_numpy(), second.of.to_numpy()
        masks = {
            (x, y): rows
            for x in first.names
            for y in second.names
            if (rows := (a == x) & (b == y)).any()
        }
        sizes = {cell: distinct(cases.patient[rows]) for cell, rows in masks.items()}
        away = (
            {level: distinct(cases.patient[of == level]) for level in margins[name]}
            for name, of in zip(pair, (a, b), strict=True)
        )
        cells = hidden_cells(sizes, rule.least, tuple(away))
        for cell, rows in masks.items():
            yield _Group(" x ".join(pair), ", ".join(cell), rows, cell in cells)


def _sizes(
    of: NDArray[np.object_], names: Sequence[str], patient: NDArray[np.int64]
) -> dict[str, int]:
    return {level: distinct(patient[of == level]) for level in names}
