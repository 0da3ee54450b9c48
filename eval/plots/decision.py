"""Decision curves: is acting on the model worth more than treating everybody or nobody?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes

from eval.estimate import Estimate
from eval.plots.style import BAND, INK, MUTED, STYLE, paper, pen, svg


def decision_curves(
    curves: Mapping[str, tuple[Sequence[float], Sequence[Estimate]]],
    treat_all: tuple[Sequence[float], Sequence[float]],
    sensible: tuple[float, float],
    prevalence: float,
    banded: str,
    name: str,
) -> str:
    """Net benefit against threshold probability.

    Args:
        curves: model -> thresholds and net benefit, with pointwise intervals.
        treat_all: thresholds and the net benefit of sending everybody to DXA.
        sensible: thresholds at which people really decide; shaded.
        prevalence: the most that anything can gain; scales the axis.
        banded: the one model whose intervals are drawn, as a band.
        name: of the figure, unique on the page.
    """
    with mpl.rc_context(STYLE):
        figure = paper((4.7, 4.1))
        axes = figure.subplots()
        axes.axvspan(*sensible, color=BAND, lw=0, zorder=0)
        axes.axhline(0, color=INK, lw=1)
        axes.plot(*treat_all, color=MUTED, lw=1.1, ls="-")
        for model, (at, benefit) in curves.items():
            p = pen(model, list(curves))
            known = [(t, e) for t, e in zip(at, benefit, strict=True) if e.value is not None]
            x = [t for t, _ in known]
            if model == banded:
                low = [np.nan if e.low is None else e.low for _, e in known]
                high = [np.nan if e.high is None else e.high for _, e in known]
                axes.fill_between(x, low, high, color=p.ink, alpha=0.15, lw=0)
            axes.plot(x, [float(e) for _, e in known], color=p.ink, ls=p.dash, lw=1.7, label=model,
                      marker=p.mark, ms=5, mec="white", markevery=0.2)  # fmt: skip
        top = max(prevalence * 1.25, 0.02)
        axes.set(
            title="Decision curve",
            xlabel="threshold probability for offering a DXA",
            ylabel="net benefit",
            xlim=(0, max(max(at) for at, _ in curves.values())),
            ylim=(-0.18 * top, top),
        )
        _named(axes, treat_all, top)
        axes.legend(loc="upper right")
        return svg(figure, name)


def _named(axes: Axes, treat_all: tuple[Sequence[float], Sequence[float]], top: float) -> None:
    """The two simple policies carry their names themselves."""
    end = axes.get_xlim()[1]
    axes.text(end * 0.995, 0.012 * top, "nobody", color=INK, fontsize=9, ha="right", va="bottom")
    low = -0.16 * top
    crossing = [x for x, y in zip(*treat_all, strict=True) if y >= low]
    if crossing and crossing[-1] < end:
        axes.text(crossing[-1] + 0.01 * end, low, "everybody", color=MUTED, fontsize=9, va="bottom")
