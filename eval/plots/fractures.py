"""Fracture-free curves by third of predicted risk, with the numbers at risk under the axis."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl

from eval.plots.style import DASHES, INK, MARKS, STYLE, paper, svg
from eval.survival.shapes import Curve

YEAR = 365
#: Low, middle, high: darker is worse. Not the colours of models.
INKS = ("#4f8fbb", "#24699c", "#0b3554")


def fracture_free(days: Sequence[int], curves: Sequence[Curve], name: str) -> str:
    """Kaplan-Meier curves with their bands.

    Args:
        days: of the points of every curve.
        curves: of the thirds of predicted risk.
        name: of the figure, unique on the page.
    """
    years = [d / YEAR for d in days]
    with mpl.rc_context(STYLE):
        figure = paper((4.7, 4.8))
        axes = figure.subplots()
        lowest = 1.0
        for i, curve in enumerate(curves):
            ink, known = INKS[i], [k for k, s in enumerate(curve.survival) if s is not None]
            x = [years[k] for k in known]
            y = [float(curve.survival[k] or 0.0) for k in known]
            axes.step(x, y, where="post", color=ink, ls=DASHES[i], lw=1.7, marker=MARKS[i], ms=5,
                      mec="white", markevery=0.2, label=f"{curve.third} risk")  # fmt: skip
            band = [k for k in known if curve.low[k] is not None and curve.high[k] is not None]
            axes.fill_between(
                [years[k] for k in band],
                [float(curve.low[k] or 0.0) for k in band],
                [float(curve.high[k] or 0.0) for k in band],
                step="post",
                color=ink,
                alpha=0.13,
                lw=0,
            )
            lowest = min([lowest, *(float(curve.low[k] or 0.0) for k in band), *y])
        end = max(years) if years else 1.0
        axes.set(title="Without a fracture", ylabel="share fracture-free", xlim=(0, end))
        axes.set_ylim(max(0.0, lowest - 0.03), 1.005)
        axes.legend(loc="lower left")
        at = _at_risk(days, curves)
        ticks = [k / YEAR for k, _ in at]
        labels = ["\n".join([f"{d / YEAR:g}", "", *numbers]) for d, numbers in at]
        axes.set_xticks(ticks, labels, color=INK)
        axes.set_xlabel("years, and numbers at risk: " + ", ".join(c.third for c in curves))
        return svg(figure, name)


def _at_risk(days: Sequence[int], curves: Sequence[Curve]) -> list[tuple[int, list[str]]]:
    """Whole years that are near one of `days`, with the number at risk in each curve."""
    found = []
    for year in range(int(max(days, default=0) / YEAR) + 1):
        k = min(range(len(days)), key=lambda i: abs(days[i] - year * YEAR))
        found.append((year * YEAR, [f"{c.at_risk[k]:,}" for c in curves]))
    return found
