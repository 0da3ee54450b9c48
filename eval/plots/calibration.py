"""Reliability: what was observed against what was predicted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib as mpl
from matplotlib.ticker import MaxNLocator

from eval.learnt import POSITIVE
from eval.plots.style import MUTED, STYLE, paper, pen, svg
from eval.reliability import Bin


def reliability(bins: Mapping[str, Sequence[Bin]], name: str, positive: str = POSITIVE) -> str:
    """Observed share against mean predicted probability, with the number of predictions below."""
    with mpl.rc_context(STYLE):
        figure = paper((4.7, 4.8))
        top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
        top.plot([0, 1], [0, 1], color=MUTED, lw=0.8, ls=":")
        for i, (model, row) in enumerate(bins.items()):
            p = pen(model, list(bins))
            full = [b for b in row if b.n]
            x = [b.mean_predicted for b in full]
            top.plot(x, [b.observed.value for b in full], p.mark, color=p.ink, mec="white", ms=7.5,
                     label=model)  # fmt: skip
            for b in full:
                limits = [b.observed.low, b.observed.high]
                top.plot([b.mean_predicted] * 2, limits, color=p.ink, lw=1.2, alpha=0.6)
            width = 0.08 / len(bins)
            centres = [(b.low + b.high) / 2 + (i - (len(bins) - 1) / 2) * width for b in row]
            bottom.bar(centres, [b.n for b in row], width=width * 0.9, color=p.ink)
        top.set(title="Reliability", ylabel=f"observed share with {positive}")
        top.set(xlim=(-0.01, 1.01), ylim=(-0.02, 1.02))
        bottom.set(xlabel="predicted probability", ylabel="number")
        bottom.yaxis.set_major_locator(MaxNLocator(2, integer=True))
        top.legend(loc="upper left")
        return svg(figure, name)
