"""A number as it was printed, and every value that it may stand for.

``0.90`` stands for [0.895, 0.905]: it was rounded. Some tables cut the digits off instead, so that
it stands for [0.90, 0.91]; a table says which (`Rounding`). Bounds are closed on both sides and
widened by 1e-9, which forgives binary fractions and either rule for a final 5.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

Rounding = Literal["round", "truncate", "either"]

SLACK = 1e-9
_NUMBER = (
    r"([<>]?\s*[-+−]?(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]{1,12}|(?=\.[0-9]))"
    r"(?:\.[0-9]{1,20})?(?:[eE][-+]?[0-9]{1,2})?)\s*(%?)"
)
_CELL = re.compile(
    rf"\s*{_NUMBER}\s*(?:[(\[]\s*{_NUMBER}\s*(?:(?:-|–|—|,|;|to)\s*{_NUMBER}\s*)?[)\]])?\s*(%?)\s*",
    re.ASCII,
)
LONGEST = 80
EXAMPLES = '"0.90", "84.0%", "0.90 (0.87-0.93)", "207 (48.9%)", "<0.001"'


@dataclass(frozen=True, slots=True)
class Printed:
    """One number: `value` as printed (percent divided by 100), in [low, high] before printing."""

    text: str
    value: float
    low: float
    high: float

    def may_be(self, low: float, high: float | None = None) -> bool:
        """Whether some value in [low, high] (one value by default) is printed like this."""
        return self.low <= (low if high is None else high) and low <= self.high


@dataclass(frozen=True, slots=True)
class Cell:
    """What one cell holds: an estimate, with an interval or with a share of the whole, or alone."""

    text: str
    at: Printed
    low: Printed | None = None
    high: Printed | None = None
    share: Printed | None = None


@lru_cache(maxsize=100_000)
def cell(text: str, rounding: Rounding = "round") -> Cell:
    """Read a cell.

    Raises:
        ValueError: the text is not a number, a number with an interval or a count with a share.
    """
    found = _CELL.fullmatch(text) if len(text) <= LONGEST else None
    if found is None:
        raise ValueError(f"{text[:LONGEST]!r} is not a printed number: write {EXAMPLES}")
    at, sign, second, second_sign, third, third_sign, last = found.groups()
    if third is None:
        if second and not (second_sign or last):
            raise ValueError(f"{text!r}: one number in brackets is a share, and needs its % sign")
        share = _number(second, True, rounding) if second else None
        return Cell(text, _number(at, bool(sign or (last and not second)), rounding), share=share)
    percent = bool(sign or second_sign or third_sign or last)
    a, b, c = (_number(t, percent, rounding) for t in (at, second, third))
    return Cell(text, a, b, c)


@lru_cache(maxsize=100_000)
def _number(text: str, percent: bool, rounding: Rounding) -> Printed:
    plain = text.replace(",", "").replace("−", "-").replace(" ", "").lstrip("<>")
    digits, _, power = plain.lower().partition("e")
    unit = 10.0 ** (int(power or 0) - len(digits.partition(".")[2]))
    value = float(plain)
    scale = 100.0 if percent else 1.0
    if text.startswith("<"):
        low, high = -float("inf"), value
    elif text.startswith(">"):
        low, high = value, float("inf")
    else:
        # A cut number was further from zero, a rounded one anywhere half a unit around.
        back = 0.0 if rounding == "truncate" else unit / 2
        ahead = unit / 2 if rounding == "round" else unit
        below, above = (ahead, back) if digits.startswith("-") else (back, ahead)
        low, high = value - below, value + above
    slack = SLACK * max(1.0, abs(value) / scale)
    shown = text + ("%" if percent else "")
    return Printed(shown, value / scale, low / scale - slack, high / scale + slack)


def show(value: float, like: Printed) -> str:
    """`value` written with the digits and the unit of `like`."""
    percent = like.text.endswith("%")
    plain = like.text.rstrip("%").lower().partition("e")[0]
    digits = min(len(plain.partition(".")[2]), 6)
    return f"{100 * value:.{digits}f}%" if percent else f"{value:.{digits}f}"
