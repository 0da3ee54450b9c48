"""Which groups are too small to be shown, and which go with them so that nobody can subtract.

A group of fewer than `least` patients is kept back: its numbers would be about people, not about a
group. Counts of a split add up to the cohort's, so one hidden group could be had by subtraction:
while those hidden of a split are one, or fewer than `least` patients together, the smallest group
shown is hidden too. In a split by two characteristics this holds along each of their levels, whose
sizes are known from the split by one. A group of nobody is shown: it is about nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping
from typing import TypeVar

K = TypeVar("K", bound=Hashable)
Cell = tuple[str, str]


def hidden(sizes: Mapping[K, int], least: int, also: Collection[K] = ()) -> frozenset[K]:
    """The levels to keep back of one split.

    Args:
        sizes: level -> patients; together they are a number that is known.
        least: the smallest size that may be shown.
        also: levels that are kept back for another reason.
    """
    out = {k for k, n in sizes.items() if 0 < n < least or (n and k in also)}
    while out and (len(out) == 1 or sum(sizes[k] for k in out) < least):
        shown = [k for k, n in sizes.items() if n and k not in out]
        if not shown:
            break
        out.add(min(shown, key=lambda k: sizes[k]))  # the first of equals
    return frozenset(out)


def hidden_cells(
    sizes: Mapping[Cell, int], least: int, margins: tuple[Collection[str], Collection[str]]
) -> frozenset[Cell]:
    """The cells to keep back of a split by two characteristics.

    Args:
        sizes: (level of the first, level of the second) -> patients.
        least: the smallest size that may be shown.
        margins: levels kept back of each characteristic by itself; their cells are too.
    """
    out = {c for c in sizes if c[0] in margins[0] or c[1] in margins[1]}
    lines: list[Callable[[Cell], str]] = [lambda c: c[0], lambda c: c[1]]
    while True:
        before = len(out)
        for line in lines:
            for level in dict.fromkeys(line(c) for c in sizes):
                along = {c: n for c, n in sizes.items() if line(c) == level}
                out |= hidden(along, least, out)
        if len(out) == before:
            return frozenset(out)
