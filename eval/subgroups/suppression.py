"""Which groups are too small to be shown, and which go with them so that nobody can subtract.

A group of fewer than `least` patients is kept back: its numbers would be about people, not about a
group. Counts of a split add up to the cohort's, so one hidden group could be had by subtraction:
while those hidden of a split are one, or fewer than `least` patients together, the smallest group
shown is hidden too. In a split by two characteristics this holds along each of their levels, whose
sizes are known from the split by one, and no small cell may follow from several sums together. A
group of nobody is shown: it is about nobody.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from typing import TypeVar

K = TypeVar("K", bound=Hashable)
Cell = tuple[str, str]
Edge = tuple[tuple[str, str], tuple[str, str]]


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
    sizes: Mapping[Cell, int], least: int, margins: tuple[Mapping[str, int], ...]
) -> frozenset[Cell]:
    """The cells to keep back of a split by two characteristics.

    Args:
        sizes: (level of the first, level of the second) -> patients, where there is somebody.
        least: the smallest size that may be shown.
        margins: levels of each characteristic that are kept back by themselves -> patients; their
            cells are kept back too.
    """
    out = {c for c in sizes if c[0] in margins[0] or c[1] in margins[1]}
    while True:
        for axis in (0, 1):
            for level in dict.fromkeys(c[axis] for c in sizes):
                out |= hidden({c: n for c, n in sizes.items() if c[axis] == level}, least, out)
        known = _known(sizes, out, margins, least)
        shown = sorted((c for c in sizes if c not in out), key=lambda c: sizes[c])
        if known is None or not shown:
            return frozenset(out)
        # one that closes a cycle through it, else one beside it, else any: the smallest of them
        closing = [c for c in shown if not _bridge(known, _edges(out | {c}, margins))]
        beside = [c for c in shown if ("first", c[0]) in known or ("second", c[1]) in known]
        out.add((closing or beside or shown)[0])


def _edges(cells: Collection[Cell], margins: tuple[Mapping[str, int], ...]) -> list[Edge]:
    """What is hidden, as edges between the sums that it is part of."""
    edges: list[Edge] = [(("first", a), ("second", b)) for a, b in sorted(cells)]
    edges += [(("first", a), ("all", "first")) for a in margins[0]]
    return edges + [(("second", b), ("all", "second")) for b in margins[1]]


def _known(
    sizes: Mapping[Cell, int],
    cells: Collection[Cell],
    margins: tuple[Mapping[str, int], ...],
    least: int,
) -> Edge | None:
    """A small hidden number that the shown ones determine, if there is one.

    The hidden numbers are edges of a graph whose nodes are known sums, and positive, so that one is
    determined if and only if it is on no cycle (Gusfield, SIAM J Comput 1988).
    """
    edges = _edges(cells, margins)
    small = [c for c in sorted(cells) if sizes[c] < least]
    weak = [e for e in _edges(small, margins) if e[1][0] != "all" or _size(e, margins) < least]
    return next((e for e in weak if _bridge(e, edges)), None)


def _size(edge: Edge, margins: tuple[Mapping[str, int], ...]) -> int:
    name, level = edge[0]
    return margins[0 if name == "first" else 1][level]


def _bridge(edge: Edge, edges: list[Edge]) -> bool:
    """Whether its ends are not joined without it."""
    reached, frontier = {edge[0]}, [edge[0]]
    while frontier:
        node = frontier.pop()
        for a, b in edges:
            if (a, b) == edge or node not in (a, b):
                continue
            other = b if node == a else a
            if other not in reached:
                reached.add(other)
                frontier.append(other)
    return edge[1] not in reached
