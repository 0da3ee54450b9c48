"""The panels of the workspace and of the report: what is laid out, section by section.

A panel is made of keys that are known to be logged (`eval.dashboards.known`), or not at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import wandb_workspaces.reports.v2.interface as wr

from eval.dashboards.known import Known
from eval.dashboards.told import COHORTS, DRIFT, WITHHELD

#: At W&B: an area under a curve, and lines that have names.
AREA, LINES = "wandb/area-under-curve/v0", "wandb/lineseries/v0"
AT_THRESHOLD = ("sensitivity", "specificity", "ppv", "npv")
CALIBRATION = ("ece", "brier", "slope", "in_the_large")
#: Of a drift: key -> title.
DRIFTS = {
    "auroc": "AUROC, there minus home",
    "in_the_large": "calibration in the large, there minus home",
    "slope": "calibration slope, there minus home",
    "ece": "ECE, there minus home",
    "scores": "chance that a score there is higher (0.5: alike)",
    "distance": "distance of the scores' distributions",
    "called_positive": "share called positive, there minus home",
    "prevalence": "prevalence, there minus home",
}


@dataclass(frozen=True)
class Section:
    """Panels under a title; `about` says what they show; `of` whose runs: evaluations or stages."""

    title: str
    about: str
    panels: list[Any]
    of: str = "evaluations"


def sections(known: Known) -> list[Section]:
    """Those that have panels, in order."""
    tuned = [c for c in known.cohorts if c.endswith("-tune")]
    objectives = sorted(k for k in known.summary if k.startswith("trial/objective/"))
    made = (
        Section(
            "Cohorts side by side",
            "Each run's last model on each cohort: the estimate between its limits. The table has "
            "every model. A tuning cohort chose thresholds, and is optimistic.",
            list(_cohorts(known)),
        ),
        Section(
            "Drift between sites",
            "Each cohort minus the test split of the hospital that was learnt from. Other people "
            "and other devices both make a difference.",
            list(_drift(known)),
        ),
        Section(
            "Subgroup gaps",
            "A group minus everybody else of its cohort, at the frozen threshold. Groups under "
            "five patients are not told.",
            list(_gaps(known)),
        ),
        Section(
            "Sweeps: settings against the tuning cohort",
            "A trial is a run; the sweep is its group. Test cohorts have no part in it.",
            list(_settings(known, known.having(*(f"eval/{c}/auroc" for c in tuned)))),
        ),
        Section(
            "Sweeps: settings against the objective",
            "Trials that came to their end. Those stopped early are below, by what they reached.",
            list(_settings(known, objectives)),
            of="stages",
        ),
        Section(
            "Sweeps: learning curves",
            "Training by optimizer step; a trial's teacher comes before its student.",
            list(_curves(known)),
            of="stages",
        ),
        Section(
            "What is looked at",
            "Grad-CAM of right answers and of the worst wrong ones, chosen by rule.",
            list(_pictures(known)),
        ),
    )
    return [s for s in made if s.panels]


def _cohorts(known: Known) -> Iterator[Any]:
    for c in known.cohorts:
        at = f"eval/{c}"
        if metrics := known.having(f"{at}/auroc_lo", f"{at}/auroc", f"{at}/auroc_hi"):
            yield wr.BarPlot(title=f"{c}: AUROC, low and high", metrics=metrics)
        for name, of in (("at the frozen threshold", AT_THRESHOLD), ("calibration", CALIBRATION)):
            if metrics := known.having(*(f"{at}/{m}" for m in of)):
                yield wr.BarPlot(title=f"{c}: {name}", metrics=metrics)
        yield from _curve(known, f"{at}/roc", AREA, ("fpr", "tpr"), f"{c}: ROC")
        yield from _curve(
            known, f"{at}/pr", AREA, ("recall", "precision"), f"{c}: precision, recall"
        )
        yield from _curve(
            known,
            f"{at}/calibration",
            LINES,
            ("predicted", "observed"),
            f"{c}: observed, predicted",
        )
    yield from _tables(known, COHORTS, WITHHELD)


def _drift(known: Known) -> Iterator[Any]:
    for name, title in DRIFTS.items():
        at = [f"drift/{c}/{name}" for c in known.cohorts]
        each = known.having(*(f"{k}{end}" for k in at for end in ("_lo", "", "_hi")))
        if each:
            yield wr.BarPlot(title=title, metrics=each)
    for c in known.cohorts:
        yield from _curve(known, f"eval/{c}/scores", LINES, ("low", "share"), f"{c}: scores")
    yield from _tables(known, DRIFT)


def _gaps(known: Known) -> Iterator[Any]:
    if widest := known.having(*(f"gap/{c}/widest" for c in known.cohorts)):
        yield wr.BarPlot(title="widest AUROC gap", metrics=widest)
    for c in known.cohorts:
        keys = sorted(
            k for k in known.evaluations if k.startswith(f"gap/{c}/") and k.endswith("/auroc")
        )
        for by in dict.fromkeys(k.split("/")[2] for k in keys):
            of_by = [k for k in keys if k.split("/")[2] == by]
            limits = known.having(*(f"{k}{end}" for k in of_by for end in ("_lo", "", "_hi")))
            yield wr.BarPlot(title=f"{c}: AUROC gap by {by}", metrics=limits)
    yield from _tables(known, *(f"eval/{c}/subgroups" for c in known.cohorts))


def _settings(known: Known, targets: Sequence[str]) -> Iterator[Any]:
    if not known.varied:
        return
    for target in targets:
        settings = [wr.ParallelCoordinatesPlotColumn(wr.Config(v)) for v in known.varied]
        of = [wr.ParallelCoordinatesPlotColumn(wr.SummaryMetric(k))
              for k in (target, *known.having(f"{target}_lo"))]  # fmt: skip
        title = f"settings and {target.rpartition('/')[2]}"
        yield wr.ParallelCoordinatesPlot(title=title, columns=[*settings, *of])
        yield wr.ParameterImportancePlot(with_respect_to=target)
        for v in known.varied:
            yield wr.ScatterPlot(title=v, x=wr.Config(v), y=wr.SummaryMetric(target))
    if targets:
        yield wr.RunComparer(diff_only=True)


def _curves(known: Known) -> Iterator[Any]:
    for key in ("tune/auroc", "train/loss"):
        if key in known.history:
            yield wr.LinePlot(title=key, x="Step", y=[key])
    if "best/tune/auroc" in known.summary:
        yield wr.BarPlot(title="best AUROC on the tuning split", metrics=["best/tune/auroc"])


def _pictures(known: Known) -> Iterator[Any]:
    keys = known.having(*(f"eval/{c}/gradcam" for c in known.cohorts))
    if keys:
        yield wr.MediaBrowser(title="Grad-CAM", media_keys=keys, num_columns=4)


def _curve(known: Known, key: str, chart: str, axes: tuple[str, str], title: str) -> Iterator[Any]:
    """A chart of a table's columns, a line for each of its lines."""
    if key not in known.evaluations:
        return
    x, y = axes
    if chart == AREA:
        fields = {"x": x, "y": y, "class": "line"}
        words = {"title": title, "x-axis-title": x, "y-axis-title": y}
    else:
        fields = {"step": x, "lineVal": y, "lineKey": "line"}
        words = {"title": title, "xname": x}
    query = {"summaryTable": {"tableKey": key}}
    yield wr.CustomChart(query=query, chart_name=chart, chart_fields=fields, chart_strings=words)


def _tables(known: Known, *keys: str) -> Iterator[Any]:
    for key in known.having(*keys):
        yield wr.WeavePanelSummaryTable(table_name=key, layout=wr.Layout(w=24, h=8))


def arranged(panels: Sequence[Any]) -> Sequence[Any]:
    """Three in a row, wide ones alone, as a report wants them placed."""
    x = y = row = 0
    for panel in panels:
        w, h = panel.layout.w, panel.layout.h
        if x + w > 24:
            x, y, row = 0, y + row, 0
        panel.layout = wr.Layout(x=x, y=y, w=w, h=h)
        x, row = x + w, max(row, h)
    return panels
