"""Errors as stacked bars: how much goes wrong, and at which decision."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
from matplotlib.axes import Axes

from eval.classes.shapes import Cohort, Errors
from eval.plots.style import COLOURS, INK, STYLE, paper, svg

#: Field of `Errors`, what it is called of any system, colour and hatch. Hatches outlive grey print.
KINDS = (
    ("missed", "osteoporosis missed", COLOURS[1], ""),
    ("alarms", "false osteoporosis", COLOURS[3], "////"),
    ("below", "normal and low bone mass confused", COLOURS[0], "...."),
)
#: A part narrower than this share of the axis has no room for its number.
ROOM = 0.045


def error_bars(cohort: Cohort, letters: Sequence[str]) -> str:
    """Share of the cohort's pictures answered wrongly, a bar for each system, first on top.

    Args:
        cohort: with its systems.
        letters: what to call them under the axis.
    """
    every = [s.errors for s in cohort.systems]
    longest = max([sum(_shares(e, cohort.n)) for e in every] + [0.01])
    with mpl.rc_context(STYLE | {"hatch.linewidth": 0.6}):
        figure = paper((7.4, 1.35 + 0.42 * len(every)))
        axes = figure.subplots()
        for row, errors in enumerate(every):
            _bar(axes, row, errors, cohort.n, longest)
        axes.set_yticks(range(len(every)), letters, color=INK, fontweight="bold")
        axes.set(xlim=(0, longest * 1.04), ylim=(len(every) - 0.45, -0.55))
        axes.set_xlabel("% of pictures answered wrongly")
        axes.grid(axis="y", visible=False)
        figure.legend(
            *axes.get_legend_handles_labels(),
            loc="outside upper left",
            ncols=len(KINDS),
            handlelength=1.2,
            columnspacing=1.3,
        )
        return svg(figure, f"errors {cohort.cohort}")


def _shares(errors: Errors, n: int) -> list[float]:
    return [100 * getattr(errors, field) / n for field, *_ in KINDS]


def _bar(axes: Axes, row: int, errors: Errors, n: int, longest: float) -> None:
    left = 0.0
    for (field, label, colour, hatch), share in zip(KINDS, _shares(errors, n), strict=True):
        axes.barh(row, share, left=left, height=0.62, color=colour, hatch=hatch, edgecolor="white",
                  label=label if row == 0 else None)  # fmt: skip
        if share > ROOM * longest:
            number = f"{getattr(errors, field):,}"
            box = {"facecolor": "white", "edgecolor": "none", "pad": 1.2}
            axes.text(left + share / 2, row, number, ha="center", va="center", fontsize=9, bbox=box)
        left += share
