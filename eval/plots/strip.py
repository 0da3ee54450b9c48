"""Intervals small enough for a table's cell: a forest plot that can be read aloud and copied.

Every strip of a column has the same scale; `axis` draws it once, in the head.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count

from eval.estimate import Estimate
from eval.plots.style import MUTED, Pen

WIDTH, PAD, STEP = 190, 8, 13
_SHAPES = {
    "o": '<circle cx="{x}" cy="{y}" r="4"{s}/>',
    "s": '<rect x="{l}" y="{t}" width="7" height="7"{s}/>',
    "^": '<path d="M{x} {t}l4.4 7.6h-8.8z"{s}/>',
    "D": '<path d="M{x} {t}l4 3.9l-4 3.9l-4 -3.9z"{s}/>',
    "v": '<path d="M{x} {b}l4.4 -7.6h-8.8z"{s}/>',
}


@dataclass(frozen=True)
class Scale:
    """From `low` to `high`, with lines at `ticks` and a dashed one at `reference`."""

    low: float
    high: float
    ticks: tuple[float, ...]
    reference: float | None = None

    def x(self, value: float) -> float:
        """Where a value lies, in the strip's own units; beyond the ends is at the end."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return round(PAD + share * (WIDTH - 2 * PAD), 1)


def axis(scale: Scale) -> str:
    """The head of a column of strips: the numbers of the scale."""
    digits = max(len(f"{t:g}".partition(".")[2]) for t in scale.ticks)
    texts = "".join(
        f'<text x="{scale.x(t):g}" y="11" text-anchor="middle" font-size="10" font-weight="400" '
        f'fill="{MUTED}">{_number(t, digits)}</text>'
        for t in scale.ticks
    )
    return f'<svg class="strip" viewBox="0 0 {WIDTH} 14" width="{WIDTH}" height="14">{texts}</svg>'


def strip(marks: Sequence[tuple[Estimate, Pen]], scale: Scale) -> str:
    """One mark above the other; an undefined estimate leaves its line empty.

    Args:
        marks: estimates, and how each is drawn; one without an interval is hollow.
        scale: of the column.
    """
    height = STEP * max(len(marks), 1) + 6
    parts = [_line(scale.x(t), height, "#dfe5ea", "") for t in scale.ticks]
    if scale.reference is not None:
        parts.append(_line(scale.x(scale.reference), height, MUTED, ' stroke-dasharray="2,2"'))
    for i, (estimate, pen) in enumerate(marks):
        if estimate.value is not None:
            parts.append(_mark(estimate, pen, scale, 3 + STEP * (i + 0.5)))
    return (
        f'<svg class="strip" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'aria-hidden="true">{"".join(parts)}</svg>'
    )


def key(pen: Pen) -> str:
    """A model's mark alone, for a legend in a line of text."""
    mark = _shape(pen, 9, 6.5, hollow=False)
    return (
        '<svg class="key" viewBox="0 0 18 13" width="18" height="13" aria-hidden="true">'
        f'<line x1="0" y1="6.5" x2="18" y2="6.5" stroke="{pen.ink}" stroke-width="1.8"/>'
        f"{mark}</svg>"
    )


def _line(x: float, height: float, ink: str, more: str) -> str:
    return f'<line x1="{x:g}" y1="0" x2="{x:g}" y2="{height:g}" stroke="{ink}"{more}/>'


def _mark(estimate: Estimate, pen: Pen, scale: Scale, y: float) -> str:
    assert estimate.value is not None
    if estimate.low is None or estimate.high is None:
        return _shape(pen, scale.x(estimate.value), y, hollow=True)
    ends = scale.x(estimate.low), scale.x(estimate.high)
    whisker = (
        f'<line x1="{ends[0]:g}" y1="{y:g}" x2="{ends[1]:g}" y2="{y:g}" stroke="{pen.ink}" '
        'stroke-width="1.8"/>'
    )
    return whisker + _shape(pen, scale.x(estimate.value), y, hollow=False)


def _shape(pen: Pen, x: float, y: float, hollow: bool) -> str:
    fill, edge = ("#fff", pen.ink) if hollow else (pen.ink, "#fff")
    style = f' fill="{fill}" stroke="{edge}" stroke-width="1.1"'
    places = {"x": x, "y": y, "l": x - 3.5, "t": y - 3.8, "b": y + 3.8}
    return _SHAPES[pen.mark].format(s=style, **{k: f"{v:g}" for k, v in places.items()})


def _number(value: float, digits: int) -> str:
    return f"{value:.{digits}f}".replace("-", "−")


def scale_of(
    estimates: Sequence[Estimate], end: float | None = None, reference: float | None = None
) -> Scale:
    """A round scale that holds every estimate and its interval.

    Args:
        estimates: what the column shows.
        end: where the scale ends however little reaches it; 1 for a share.
        reference: a value to be on the scale and marked, such as a difference of 0.
    """
    values = [v for e in estimates for v in (e.low, e.value, e.high) if v is not None]
    values += [v for v in (end, reference) if v is not None]
    low, high = min(values, default=0.0), max(values, default=1.0)
    width = next(w for w in _widths() if -_floor(-high, w) - _floor(low, w) <= 5.001 * w)
    first = _floor(low, width)
    steps = round((-_floor(-high, width) - first) / width)
    if not steps:
        first, steps = first - width, 1
    ticks = tuple(round(first + i * width, 6) for i in range(steps + 1))
    return Scale(ticks[0], ticks[-1], ticks, reference)


def _widths() -> Iterator[float]:
    """0.05, 0.1, 0.2, 0.5, 1, 2, 5, ...: what lies between two lines."""
    yield 0.05
    for power in count(-1):
        yield from (10.0**power, 2 * 10.0**power, 5 * 10.0**power)


def _floor(value: float, width: float) -> float:
    return width * int(round(value / width, 9) // 1)
