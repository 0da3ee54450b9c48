"""The severity curve: the further bone mass has fallen, the more of them should be flagged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib as mpl

from eval.estimate import Estimate
from eval.plots.style import STYLE, paper, pen, svg


def severity(bands: Sequence[str], flagged: Mapping[str, Sequence[Estimate]], name: str) -> str:
    """Share flagged in each severity, a line for each model.

    Args:
        bands: names under the axis, mildest first.
        flagged: model -> share flagged in each band; an undefined one leaves a gap.
        name: of the figure, unique on the page.
    """
    with mpl.rc_context(STYLE):
        figure = paper()
        axes = figure.subplots()
        for j, (model, shares) in enumerate(flagged.items()):
            p = pen(model, list(flagged))
            apart = (j - (len(flagged) - 1) / 2) * 0.07
            points = [(i + apart, e) for i, e in enumerate(shares) if e.value is not None]
            axes.plot([x for x, _ in points], [float(e) for _, e in points], p.mark, ls=p.dash,
                      color=p.ink, lw=1.5, ms=7, mec="white", label=model)  # fmt: skip
            for x, e in points:
                if e.low is not None and e.high is not None:
                    axes.plot([x, x], [e.low, e.high], color=p.ink, lw=1.3, alpha=0.7)
        axes.set_xticks(range(len(bands)), bands, color="black")
        axes.set(title="By severity", ylabel="share flagged", ylim=(-0.02, 1.02))
        axes.set_xlim(-0.4, len(bands) - 0.6)
        axes.grid(axis="x", visible=False)
        axes.legend(loc="upper left")
        return svg(figure, name)
