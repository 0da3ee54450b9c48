"""ROC and precision-recall curves of one cohort."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib as mpl
from matplotlib.axes import Axes
from numpy.typing import NDArray

from eval.plots.style import MUTED, STYLE, paper, pen, svg

#: model -> x and y.
Lines = Mapping[str, tuple[NDArray, NDArray]]
#: model -> the point at the frozen threshold, where there is one.
Points = Mapping[str, tuple[float, float]]


def roc(lines: Lines, points: Points, name: str) -> str:
    """True against false positive rate.

    Args:
        lines: model -> false and true positive rate.
        points: model -> false and true positive rate at the frozen threshold.
        name: of the figure, unique on the page.
    """
    with mpl.rc_context(STYLE):
        figure = paper()
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color=MUTED, lw=0.8, ls=":")
        _lines(axes, lines, points, steps=False)
        _square(axes, "ROC", "1 − specificity", "sensitivity")
        axes.legend(loc="lower right")
        return svg(figure, name)


def precision_recall(lines: Lines, points: Points, prevalence: float, name: str) -> str:
    """Precision against recall, in steps: the area under it is the average precision.

    Args:
        lines: model -> recall and precision.
        points: model -> recall and precision at the frozen threshold.
        prevalence: what a coin would reach in precision.
        name: of the figure, unique on the page.
    """
    with mpl.rc_context(STYLE):
        figure = paper()
        axes = figure.subplots()
        axes.axhline(prevalence, color=MUTED, lw=0.8, ls=":")
        axes.text(0.01, prevalence + 0.015, "prevalence", color=MUTED, fontsize=9)
        _lines(axes, lines, points, steps=True)
        _square(axes, "Precision and recall", "recall (sensitivity)", "precision (PPV)")
        return svg(figure, name)


def _lines(axes: Axes, lines: Lines, points: Points, steps: bool) -> None:
    for model, (x, y) in lines.items():
        p = pen(model, list(lines))
        drawn = "steps-pre" if steps else "default"
        mark = p.mark if model in points else None
        axes.plot(x, y, color=p.ink, ls=p.dash, lw=1.7, drawstyle=drawn)
        axes.plot(
            [], [], color=p.ink, ls=p.dash, lw=1.7, marker=mark, mec="white", ms=7, label=model
        )
    for model, point in points.items():
        p = pen(model, list(lines))
        axes.plot(*point, p.mark, color=p.ink, mec="white", ms=8, zorder=5)


def _square(axes: Axes, title: str, x: str, y: str) -> None:
    axes.set(title=title, xlabel=x, ylabel=y, xlim=(-0.01, 1.01), ylim=(-0.01, 1.02))
