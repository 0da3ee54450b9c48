"""Kept back groups: the rule by hand, and an attacker with a linear programme."""

import numpy as np
import pytest
from scipy.optimize import linprog

from eval.subgroups.suppression import hidden, hidden_cells

LEAST = 5


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ({"a": 50, "b": 30}, ""),
        ({"a": 50, "b": 30, "c": 0}, ""),  # nobody is nobody's secret
        ({"a": 50, "b": 30, "c": 4}, "bc"),  # c alone could be had by subtraction
        ({"a": 50, "b": 30, "c": 5}, ""),
        ({"a": 50, "b": 30, "c": 2, "d": 3}, "cd"),  # two, five together
        ({"a": 50, "b": 30, "c": 1, "d": 1}, "bcd"),  # two of two: one each
        ({"a": 50, "b": 4}, "ab"),
        ({"a": 3}, "a"),
        ({"a": 9, "b": 9, "c": 4}, "ac"),  # the first of equals
    ],
)
def test_by_hand(sizes, expected):
    assert hidden(sizes, LEAST) == set(expected)


def test_what_is_hidden_for_another_reason_counts():
    assert hidden({"a": 50, "b": 30, "c": 20}, LEAST, also={"b"}) == {"b", "c"}
    assert hidden({"a": 50, "b": 0, "c": 20}, LEAST, also={"b"}) == set()


def test_cells_of_a_hidden_margin_are_hidden():
    sizes = {("w", "young"): 9, ("w", "old"): 9, ("m", "young"): 9, ("m", "old"): 9}
    assert hidden_cells(sizes, LEAST, ({}, {})) == set()
    assert ("m", "old") in hidden_cells(sizes, LEAST, ({"m": 18}, {}))


def attack(sizes, shown, totals):
    """Smallest and largest value that each hidden cell could have, given all that is printed."""
    cells = [c for c in sizes if c not in shown]
    matrix, right = [], []
    for axis in (0, 1):
        for level in {c[axis] for c in sizes}:
            if level in totals[axis]:
                known = sum(n for c, n in shown.items() if c[axis] == level)
                matrix.append([float(c[axis] == level) for c in cells])
                right.append(totals[axis][level] - known)
    matrix.append([1.0] * len(cells))
    right.append(sum(sizes.values()) - sum(shown.values()))
    out = {}
    for i, cell in enumerate(cells):
        ends = []
        for sign in (1, -1):
            c = np.zeros(len(cells))
            c[i] = sign
            ends.append(sign * linprog(c, A_eq=matrix, b_eq=right, bounds=(0, None)).fun)
        out[cell] = ends
    return out


def test_subtraction_never_gives_a_small_cell():
    rng = np.random.default_rng(0)
    attacked = 0
    for _ in range(60):
        a, b = (
            [f"a{i}" for i in range(rng.integers(2, 5))],
            [f"b{i}" for i in range(rng.integers(2, 5))],
        )
        drawn = {(x, y): int(rng.choice([0, 1, 2, 3, 4, 6, 9, 40])) for x in a for y in b}
        sizes = {c: n for c, n in drawn.items() if n}
        margins = tuple(
            {v: sum(n for c, n in sizes.items() if c[axis] == v) for v in levels}
            for axis, levels in enumerate((a, b))
        )
        away = tuple({v: m[v] for v in hidden(m, LEAST)} for m in margins)
        cells = hidden_cells(sizes, LEAST, away)
        shown = {c: n for c, n in sizes.items() if c not in cells}
        assert all(n >= LEAST for n in shown.values())
        totals = tuple(
            {v: n for v, n in m.items() if v not in out}
            for m, out in zip(margins, away, strict=True)
        )
        for cell, (low, high) in attack(sizes, shown, totals).items():
            if sizes[cell] < LEAST and len(cells) < len(sizes):
                assert high - low > 0.5, (sizes, cell)
                attacked += 1
    assert attacked > 50
