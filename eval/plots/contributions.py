"""What trees make of each feature: mean |SHAP|, and which way low and high values push.

After the beeswarm of Lundberg et al. (Nat Mach Intell 2020), with means of many people in place of
a point for each: nobody's own values can be read from it, and it prints without colour.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib as mpl
from matplotlib.axes import Axes

from eval.plots.style import COLOURS, INK, MUTED, STYLE, paper, svg


@dataclass(frozen=True)
class Push:
    """One feature: mean |SHAP|, mean SHAP from low to high values, and where the value is unknown.

    All in log odds; of `means` NaN is of nobody, and its place stays empty; `unknown` None where it
    is known of everybody.
    """

    size: float
    means: Sequence[float]
    unknown: float | None = None


def contributions(features: Mapping[str, Push], title: str, name: str) -> str:
    """Bars of mean |SHAP| beside dots of mean SHAP, the largest feature on top.

    Args:
        features: its name on the page -> what it does.
        title: of the figure.
        name: of the figure, unique on the page.
    """
    order = sorted(features, key=lambda f: (features[f].size, f))
    with mpl.rc_context(STYLE):
        figure = paper((4.7, 1.5 + 0.38 * len(order)))
        left, right = figure.subplots(1, 2, sharey=True, width_ratios=[2, 3])
        rows = range(len(order))
        left.barh(rows, [features[f].size for f in order], height=0.55, color=COLOURS[0])
        left.set_yticks(rows, order, color="black")
        left.set(xlabel="mean |SHAP|, log odds", title=title)
        left.grid(axis="y", visible=False)
        right.axvline(0, color=MUTED, lw=0.8)
        for i, f in enumerate(order):
            _pushes(right, i, features[f])
        right.set(xlabel="mean SHAP, log odds")
        right.grid(axis="y", visible=False)
        right.tick_params(axis="y", length=0)
        # drawn once, off the axes, for the legend
        right.plot([], [], "o", mfc="white", mec=INK, ms=5, label="lowest")
        right.plot([], [], "o", mfc=INK, mec=INK, ms=5, label="highest")
        if any(p.unknown is not None for p in features.values()):
            right.plot([], [], "x", color=INK, ms=5, label="unknown")
        figure.legend(
            *right.get_legend_handles_labels(), loc="outside lower right", ncols=3, title=None
        )
        return svg(figure, name)


def _pushes(axes: Axes, row: int, push: Push) -> None:
    """Dots from the lowest values (hollow) to the highest (full), joined in that order."""
    n = len(push.means)
    axes.plot(push.means, [row] * n, color=MUTED, lw=1)
    for i, mean in enumerate(push.means):
        end = i == n - 1
        axes.plot(mean, row, "o", ms=6 if i in (0, n - 1) else 4, mec=INK,
                  mfc=INK if end else "white")  # fmt: skip
    if push.unknown is not None:
        axes.plot(push.unknown, row, "x", color=INK, ms=5)
