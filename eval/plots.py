"""The report's figures as inline SVG. They compute nothing: numbers come in, ink goes out.

Text stays text (the page's own fonts, selectable, small files). Marker and clip names are salted
with the figure's name, so that figures can share a page and equal numbers give equal bytes.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from numpy.typing import NDArray

from eval.estimate import Estimate
from eval.performance import Confusion
from eval.reliability import Bin

INK, MUTED, RULE = "#1d2a36", "#5c6b79", "#dfe5ea"
#: Blue, orange, purple, green, grey: told apart in all common kinds of colour blindness.
COLOURS = ("#0f5c94", "#c8702a", "#6b5b95", "#3d8168", "#5c6b79")
DASHES = ("-", (0, (5, 1.6)), (0, (1.5, 1.2)), (0, (5, 1.5, 1.2, 1.5)), "-")
STYLE: Any = {
    "font.size": 10.5,
    "font.family": "DejaVu Sans",
    "text.color": INK,
    "text.parse_math": False,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlesize": 11.5,
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
    "svg.fonttype": "none",
}


def heat(values: NDArray) -> NDArray:
    """Colour of values in [0, 1]: [...] -> RGB [..., 3] in [0, 1]."""
    return mpl.colormaps["inferno"](values)[..., :3].astype(np.float32)


def colour(model: str, models: Sequence[str]) -> tuple[str, object]:
    """Colour and dash of a model; student and teacher keep theirs in every figure."""
    known = ["student", "teacher"]
    others = [m for m in models if m not in known]
    i = known.index(model) if model in known else 2 + others.index(model) % (len(COLOURS) - 2)
    return COLOURS[i], DASHES[i]


def roc_and_precision_recall(
    roc: Mapping[str, tuple[NDArray, NDArray]],
    precision_recall: Mapping[str, tuple[NDArray, NDArray]],
    points: Mapping[str, tuple[float, float, float]],
    prevalence: float,
    name: str,
) -> str:
    """ROC and precision-recall curves of one cohort.

    Args:
        roc: model -> false and true positive rate.
        precision_recall: model -> recall and precision.
        points: model -> (specificity, sensitivity, PPV) at the frozen threshold, where defined.
        prevalence: what a coin would reach in precision.
        name: of the figure, unique on the page.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9.2, 4.3), layout="constrained")
        left, right = figure.subplots(1, 2)
        left.plot([0, 1], [0, 1], color=MUTED, lw=0.8, ls=":")
        right.axhline(prevalence, color=MUTED, lw=0.8, ls=":")
        right.text(0.01, prevalence + 0.015, "prevalence", color=MUTED, fontsize=9)
        for model in roc:
            ink, dash = colour(model, list(roc))
            left.plot(*roc[model], color=ink, ls=dash, lw=1.8, label=model)
            recall, precision = precision_recall[model]
            right.step(recall, precision, where="pre", color=ink, ls=dash, lw=1.8, label=model)
            if model in points:
                specificity, sensitivity, ppv = points[model]
                left.plot(1 - specificity, sensitivity, "o", color=ink, mec="white", ms=8)
                right.plot(sensitivity, ppv, "o", color=ink, mec="white", ms=8)
        _square(left, "ROC", "1 − specificity", "sensitivity")
        _square(right, "Precision and recall", "recall (sensitivity)", "precision (PPV)")
        left.legend(loc="lower right")
        return svg(figure, name)


def _square(axes: Axes, title: str, x: str, y: str) -> None:
    axes.set(title=title, xlabel=x, ylabel=y, xlim=(-0.01, 1.01), ylim=(-0.01, 1.02))
    axes.set_aspect("equal")


def forest(
    rows: Sequence[tuple[str, int, Mapping[str, Estimate]]], quantity: str, name: str
) -> str:
    """Estimates with intervals, a line for each group and a mark for each model.

    Args:
        rows: (label, n, model -> estimate); an undefined estimate is written out, one without
            an interval is a hollow mark.
        quantity: what is estimated, in [0, 1].
        name: of the figure, unique on the page.
    """
    models = list(rows[0][2]) if rows else []
    with mpl.rc_context(STYLE):
        height = 1.1 + 0.42 * len(rows)
        figure = Figure(figsize=(9.2, height), layout="constrained")
        axes = figure.subplots()
        ends = [
            v for _, _, es in rows for e in es.values() for v in (e.low, e.value) if v is not None
        ]
        low = max(0.0, np.floor(min([*ends, 0.5]) * 10) / 10)
        for i, (_, _, estimates) in enumerate(rows):
            reasons = {e.undefined for e in estimates.values() if e.value is None}
            if len(reasons) == 1 and all(e.value is None for e in estimates.values()):
                _interval(axes, estimates[models[0]], i, MUTED, low)
                continue
            for j, model in enumerate(models):
                y = i + (j - (len(models) - 1) / 2) * 0.26
                _interval(axes, estimates[model], y, colour(model, models)[0], low)
        labels = [f"{label}  (n = {n:,})" for label, n, _ in rows]
        axes.set_yticks(range(len(rows)), labels, color=INK)
        axes.set(xlabel=quantity, xlim=(low, 1.005), ylim=(len(rows) - 0.4, -0.6))
        axes.grid(axis="y", visible=False)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        for model in models:
            axes.plot([], [], "o-", color=colour(model, models)[0], ms=6, lw=1.6, label=model)
        figure.legend(loc="outside upper right", ncols=len(models))
        return svg(figure, name)


def _interval(axes: Axes, estimate: Estimate, y: float, ink: str, left: float) -> None:
    if estimate.value is None:
        axes.text(left + 0.004, y, f"undefined: {estimate.undefined}", fontsize=8.5, color=MUTED,
                  va="center")  # fmt: skip
        return
    if estimate.low is not None and estimate.high is not None:
        axes.plot([estimate.low, estimate.high], [y, y], color=ink, lw=1.6, solid_capstyle="round")
        axes.plot(estimate.value, y, "o", color=ink, mec="white", ms=7)
    else:
        axes.plot(estimate.value, y, "o", color="white", mec=ink, mew=1.4, ms=5.5)


def confusion(matrices: Mapping[str, Confusion], name: str) -> str:
    """Two-by-two tables, shaded by the share of each reference class."""
    with mpl.rc_context(STYLE | {"axes.grid": False}):
        figure = Figure(figsize=(2.7 * len(matrices) + 0.2, 2.6), layout="constrained")
        for axes, (model, c) in zip(
            np.atleast_1d(figure.subplots(1, len(matrices))), matrices.items(), strict=True
        ):
            counts = np.array([[c.tn, c.fp], [c.fn, c.tp]])
            shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
            axes.imshow(shares, cmap="Blues", vmin=0, vmax=1.25)
            for (i, j), n in np.ndenumerate(counts):
                ink = "white" if shares[i, j] > 0.6 else INK
                axes.text(j, i - 0.06, f"{n:,}", ha="center", va="center", color=ink, fontsize=14)
                axes.text(j, i + 0.24, f"{shares[i, j]:.0%} of row", ha="center", va="center",
                          color=ink, fontsize=9)  # fmt: skip
            ticks = ["normal", "low bone\nmass"]
            axes.set_xticks([0, 1], ["not flagged", "flagged"], color=INK)
            axes.set_yticks([0, 1], ticks, color=INK)
            axes.set(title=model, ylabel="DXA")
            axes.tick_params(length=0)
            axes.spines[:].set_visible(False)
        return svg(figure, name)


def reliability(bins: Mapping[str, Sequence[Bin]], name: str) -> str:
    """Observed share against predicted probability, with the number of predictions below."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(5.6, 5.4), layout="constrained")
        top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
        top.plot([0, 1], [0, 1], color=MUTED, lw=0.8, ls=":")
        for i, (model, row) in enumerate(bins.items()):
            ink, dash = colour(model, list(bins))
            full = [b for b in row if b.n]
            x = [b.mean_predicted for b in full]
            top.plot(x, [b.observed.value for b in full], "o", ls=dash, color=ink, lw=1.4,
                     mec="white", ms=7, label=model)  # fmt: skip
            for b in full:
                limits = [b.observed.low, b.observed.high]
                top.plot([b.mean_predicted] * 2, limits, color=ink, lw=1.2, alpha=0.7)
            width = 0.08 / len(bins)
            centres = [(b.low + b.high) / 2 + (i - (len(bins) - 1) / 2) * width for b in row]
            bottom.bar(centres, [b.n for b in row], width=width * 0.92, color=ink)
        top.set(title="Reliability", ylabel="observed share with low bone mass")
        top.set(xlim=(-0.01, 1.01), ylim=(-0.02, 1.02))
        bottom.set(xlabel="predicted probability", ylabel="number")
        top.legend(loc="upper left")
        return svg(figure, name)


def training_curves(
    panels: Mapping[str, Mapping[str, tuple[Sequence[float], Sequence[float]]]], name: str
) -> str:
    """One panel for each quantity, a line for each model: quantity -> model -> (steps, values)."""
    models = sorted({m for lines in panels.values() for m in lines})
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9.2, 3.3), layout="constrained")
        for axes, (quantity, lines) in zip(
            np.atleast_1d(figure.subplots(1, len(panels))), panels.items(), strict=True
        ):
            for model, (steps, values) in lines.items():
                ink, dash = colour(model, models)
                mark = "o" if len(steps) < 30 else None
                axes.plot(steps, values, color=ink, ls=dash, lw=1.6, marker=mark, ms=4, label=model)
            axes.set(title=quantity, xlabel="step")
            axes.legend()
        return svg(figure, name)


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
