"""Ink on paper: colours, dashes and marks that survive print and colour blindness; SVG text.

A model is told apart by three things at once, so that losing one of them (a grey printer, a common
colour blindness, a crowded corner) loses nothing. Text stays text (the page's own fonts,
selectable, small files). Names inside an SVG are salted with the figure's name, so that figures can
share a page and equal numbers give equal bytes.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

INK, MUTED, RULE, BAND = "#1b2733", "#55636f", "#dfe5ea", "#eef2f5"
#: Blue, vermilion, green and purple of Okabe and Ito (jfly.uni-koeln.de/color, 2008), those of
#: their colours that stand out from white by 3:1, and ink grey. tests/eval/test_plots.py measures.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#4b5864")
DASHES: tuple[Any, ...] = (
    "-",
    (0, (5, 1.6)),
    (0, (1.5, 1.3)),
    (0, (6, 1.5, 1.3, 1.5)),
    (0, (9, 2)),
)
MARKS = ("o", "s", "^", "D", "v")
#: Inches: half of the page beside another figure, all of a phone.
SMALL = (4.7, 3.9)
STYLE: Any = {
    "font.size": 10,
    "font.family": "DejaVu Sans",
    "text.color": INK,
    "text.parse_math": False,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.7,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "legend.frameon": False,
    "legend.fontsize": 9.5,
    "legend.handlelength": 2.6,
    "svg.fonttype": "none",
}


@dataclass(frozen=True)
class Pen:
    """How one model is drawn: colour, matplotlib dash, matplotlib marker."""

    ink: str
    dash: Any
    mark: str


def pen(model: str, models: Sequence[str]) -> Pen:
    """Student and teacher keep theirs in every figure; no two of the first 25 models are alike.

    Of a run that has neither, the first two of its models have theirs.
    """
    known = ["student", "teacher"]
    known = known if {*known} & {*models, model} else []
    order = known + [m for m in models if m not in known]
    i = order.index(model)
    turn = i // len(COLOURS)
    return Pen(
        COLOURS[i % len(COLOURS)],
        DASHES[(i + turn) % len(DASHES)],
        MARKS[(i + 2 * turn) % len(MARKS)],
    )


def paper(size: tuple[float, float] = SMALL) -> Figure:
    """An empty figure of `size` inches; draw on it within ``mpl.rc_context(STYLE)``."""
    return Figure(figsize=size, layout="constrained")


def svg(figure: Figure, name: str) -> str:
    """The figure as an ``<svg>`` element to put into a page, without dates or addresses."""
    with mpl.rc_context(STYLE | {"svg.hashsalt": f"osteoray {name}"}):
        buffer = io.StringIO()
        FigureCanvasSVG(figure).print_svg(
            buffer, metadata={"Date": None, "Creator": None, "Format": None, "Type": None}
        )
    text = buffer.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    return re.sub(r'\s(width|height)="[\d.]+pt"', "", text, count=2)
