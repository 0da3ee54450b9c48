"""How the models learnt: loss and tuning AUROC by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib as mpl

from eval.plots.style import STYLE, paper, pen, svg


def training_curves(
    quantity: str, lines: Mapping[str, tuple[Sequence[float], Sequence[float]]], name: str
) -> str:
    """One quantity, a line for each model: model -> (steps, values)."""
    with mpl.rc_context(STYLE):
        figure = paper((4.7, 3.3))
        axes = figure.subplots()
        for model, (steps, values) in lines.items():
            p = pen(model, sorted(lines))
            mark = p.mark if len(steps) < 30 else None
            axes.plot(steps, values, color=p.ink, ls=p.dash, lw=1.5, marker=mark, ms=4, label=model)
        axes.set(title=quantity, xlabel="step")
        axes.legend()
        return svg(figure, name)
