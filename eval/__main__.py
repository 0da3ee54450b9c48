"""The evaluation command: from predictions to numbers, and from numbers to a report.

python -m eval metrics RUN       write cohorts/*/metrics.json
python -m eval show RUN          print the table
python -m eval report RUN        write report/index.html
python -m eval lint TABLE        does a table of results contradict itself?
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from eval.ceiling import Ceiling, ceilings
from eval.cohort import Metrics
from eval.evaluate import evaluate_run
from eval.report import write_report
from eval.runs import Run, is_tuning

T = TypeVar("T")

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="""What the models of a run are worth, with intervals, and a report for a clinician.

\b
python -m eval metrics RUN    write cohorts/*/metrics.json
python -m eval show RUN       print the table
python -m eval report RUN     write report/index.html
python -m eval lint TABLE     does a table of results contradict itself?

A run is a folder holding cohorts/COHORT/predictions.parquet, as training leaves it.""",
)
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="the run's folder")]
World = Annotated[
    Path | None,
    typer.Option("--ceiling", metavar="WORLD.JSON", help="of a synthetic world; kept in the run"),
]
NoExplain = Annotated[
    bool, typer.Option("--no-explain", help="leave out Grad-CAM; needs no weights, no pixels")
]


@app.command()
def metrics(run: RunFolder) -> None:
    """Write metrics.json beside the predictions of every cohort.

    AUROC and AP by resampling patients (1000 draws), ratios at the frozen threshold with Wilson
    intervals, by sex, age band and severity, calibration, and the models against each other.
    A cohort whose predictions have not changed is left as it is.
    """
    for found in _or_exit(lambda: evaluate_run(run)):
        typer.echo(run / "cohorts" / found.cohort / "metrics.json")


@app.command()
def report(run: RunFolder, no_explain: NoExplain = False, ceiling: World = None) -> None:
    """Write RUN/report/index.html: one file, no network, made to be printed.

    Metrics are brought up to date first. Grad-CAM pictures are added where the weights and the
    packed datasets that run.json names can be read; otherwise the report says what is missing.
    The table of `show` is printed, and the report's path last.
    """
    written = _or_exit(lambda: write_report(run, not no_explain, ceiling))
    show(run)
    typer.echo(f"report: {written}")


@app.command()
def show(run: RunFolder) -> None:
    """Print cohorts by models: AUROC with its interval, sensitivity, specificity, the ceiling.

    The ceiling is the AUROC that the best possible reader of a synthetic cohort would reach; the
    run knows it once `report --ceiling` was told.
    """
    found = _or_exit(lambda: evaluate_run(run))
    typer.echo(table(found, _or_exit(lambda: ceilings(Run.at(run)))))


@app.command()
def lint(
    path: Annotated[Path, typer.Argument(metavar="TABLE", help="JSON, CSV, or a metrics.json")],
) -> None:
    """Say where a table of results contradicts itself: ours, or one typed in from a paper.

    Counts against percentages, shares of n, accuracy against sensitivity and specificity, parts
    against wholes, intervals against estimates, AUROC against its bounds. A finding is impossible,
    not a proportion of n (averaged?), or perhaps a misprint. Exit code 5 if there are any.
    """
    from eval.linter import lint as judge
    from eval.linter import read_table

    found = _or_exit(lambda: judge(read_table(path)))
    for finding in found:
        typer.echo(finding.line())
    typer.echo(f"{len(found)} contradiction(s) in {path}")
    raise typer.Exit(5 if found else 0)


def table(found: list[Metrics], ceiling: dict[str, Ceiling]) -> str:
    """Lines of aligned columns, one for each cohort and model."""
    head = ("cohort", "model", "n", "AUROC [95%]", "sensitivity [95%]", "specificity [95%]")
    lines: list[tuple[str, ...]] = [(*head, "ceiling") if ceiling else head]
    for m in found:
        for model in m.models:
            o = model.overall
            ratios = (o.auroc.text(), o.sensitivity.text(), o.specificity.text())
            line = (m.cohort, model.model, str(o.n), *ratios)
            top = ceiling.get(m.cohort)
            known = f"{top.auroc:.3f}" if top else "-"
            lines.append((*line, known) if ceiling else line)
        if not m.models:
            lines.append((m.cohort, "-", "0", *m.notes))
    widths = [
        max(len(row[i]) if i < len(row) else 0 for row in lines) for i in range(len(lines[0]))
    ]
    printed = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=False)) for row in lines]
    if any(is_tuning(m.cohort) for m in found):
        printed.append("A tuning cohort chose temperature and threshold: its row is optimistic.")
    return "\n".join(line.rstrip() for line in printed)


def _or_exit(work: Callable[[], T]) -> T:
    """Run `work`; what the user can put right is one line on stderr and exit code 2."""
    try:
        return work()
    except (ValueError, OSError) as e:
        print(f"eval: {e}", file=sys.stderr)
        raise typer.Exit(2) from None


if __name__ == "__main__":
    app(prog_name="python -m eval")
