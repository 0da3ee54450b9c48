"""The evaluation command: from predictions to numbers, and from numbers to a report.

python -m eval metrics RUN            write cohorts/*/metrics.json
python -m eval show RUN               print the table
python -m eval report RUN             write report/index.html and report.pdf
python -m eval report RUN RUN ...     write RUN/report/compare.html
python -m eval compare RUN RUN ...    print the tests between models and cohorts
python -m eval clinical RUN           clinical and combined models of the run's cohorts
python -m eval classes --first RUN ...  three classes: two stages against one model
python -m eval variants RUN RUN ...   three classes: ablations and baselines, one table
python -m eval fusion --face RUN --cxr RUN --out DIR  face, CXR and clinical scores as one
python -m eval faces RUN              what of a face speaks for the answer
python -m eval track RUN ...          log cohorts to W&B, offline unless asked
python -m eval dashboard RUN ...      a W&B workspace and report of them, as JSON
python -m eval lint TABLE             does a table of results contradict itself?
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from eval import console, steps
from eval.ceiling import ceilings
from eval.comparison.page import write_comparison
from eval.console import judge, or_exit, quiet
from eval.dashboards.command import HELP, dashboard, track
from eval.evaluate import evaluate_run
from eval.faces.command import faces
from eval.gates import check
from eval.peer import as_run
from eval.runs import Run
from eval.three import classes, fusion, variants

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="""What the models of a run are worth, with intervals, and a report for a clinician.

\b
python -m eval metrics RUN            write cohorts/*/metrics.json
python -m eval show RUN               print the table
python -m eval report RUN             write report/index.html and report.pdf
python -m eval report RUN RUN ...     write RUN/report/compare.html
python -m eval compare RUN RUN ...    print the tests between models and cohorts
python -m eval clinical RUN           clinical and combined models of the run's cohorts
python -m eval classes --first RUN ...  three classes: two stages against one model
python -m eval variants RUN RUN ...   three classes: ablations and baselines, one table
python -m eval fusion --face RUN --cxr RUN --out DIR  face, CXR and clinical scores as one
python -m eval faces RUN              what of a face speaks for the answer
python -m eval track RUN ...          log cohorts to W&B, offline unless asked
python -m eval dashboard RUN ...      a W&B workspace and report of them, as JSON
python -m eval lint TABLE             does a table of results contradict itself?

A run is a folder holding cohorts/COHORT/predictions.parquet, as training leaves it; or a file of
anybody's predictions, parquet or CSV, with columns model, cohort, key, patient, label, probability.
Exit codes: 2 what you can put right, 5 a gate or a table that failed.""",
)
RunFolder = Annotated[
    Path, typer.Argument(metavar="RUN", help="the run's folder, or a file of predictions")
]
RunFolders = Annotated[
    list[Path], typer.Argument(metavar="RUN...", help="runs' folders, or files of predictions")
]
World = Annotated[
    Path | None,
    typer.Option("--ceiling", metavar="WORLD.JSON", help="of a synthetic world; kept in the run"),
]
NoExplain = Annotated[
    bool, typer.Option("--no-explain", help="leave out Grad-CAM; needs no weights, no pixels")
]
Json = Annotated[bool, typer.Option("--json", help="JSON on stdout, and nothing else")]
Gates = Annotated[
    list[str] | None,
    typer.Option(
        "--gate", metavar="GATE", help="such as 'auroc_low>=0.80'; fails with exit code 5"
    ),
]
GateFile = Annotated[
    Path | None, typer.Option("--gates", metavar="FILE", help="a list of gates, YAML or JSON")
]
MadeIn = Annotated[
    Path | None,
    typer.Option("--out", metavar="FOLDER", help="where a file of predictions becomes a run"),
]
Out = Annotated[
    Path | None, typer.Option("--out", metavar="FOLDER", help="where to write what is made")
]


EveryPair = Annotated[
    bool,
    typer.Option("--every-pair", help="between runs, test models of different names too"),
]


@app.command()
def metrics(
    run: RunFolder,
    out: MadeIn = None,
    gate: Gates = None,
    gates: GateFile = None,
    as_json: Json = False,
) -> None:
    """Write metrics.json beside the predictions of every cohort.

    AUROC and AP by resampling patients (1000 draws), ratios at the frozen threshold with Wilson
    intervals, by sex, age band and severity, calibration, and the models against each other.
    A cohort whose predictions have not changed is left as it is.
    """
    folder, found, outcomes = steps.evaluated(run, out, steps.asked_gates(gate, gates), as_json)
    if as_json:
        each = [m.model_dump(mode="json") for m in found]
        steps.emit("osteoray-evaluation/1", outcomes, run=folder.name, metrics=each)
    else:
        for m in found:
            typer.echo(folder / "cohorts" / m.cohort / "metrics.json")
    judge(outcomes)


@app.command()
def show(
    run: RunFolder,
    out: MadeIn = None,
    gate: Gates = None,
    gates: GateFile = None,
    as_json: Json = False,
) -> None:
    """Print cohorts by models: AUROC with its interval, sensitivity, specificity, the ceiling.

    The ceiling is the AUROC that the best possible reader of a synthetic cohort would reach; the
    run knows it once `report --ceiling` was told.
    """
    folder, found, outcomes = steps.evaluated(run, out, steps.asked_gates(gate, gates), as_json)
    top = or_exit(lambda: ceilings(Run.at(folder)))
    if as_json:
        steps.emit("osteoray-show/1", outcomes, run=folder.name, rows=console.rows(found, top))
    else:
        typer.echo(console.table(found, top))
    judge(outcomes)


@app.command()
def report(
    runs: RunFolders,
    no_explain: NoExplain = False,
    ceiling: World = None,
    out: Out = None,
    every_pair: EveryPair = False,
    gate: Gates = None,
    gates: GateFile = None,
    as_json: Json = False,
) -> None:
    """Write RUN/report/index.html and report.pdf: one file each, no network, made to be printed.

    Metrics are brought up to date first. Grad-CAM pictures are added where the weights and the
    packed datasets that run.json names can be read; otherwise the report says what is missing.
    The model card and the filled checklists lie beside it. The table of `show` is printed, and the
    report's path last. Of several runs it is report/compare.html of the first, or in --out.
    """
    asked = steps.asked_gates(gate, gates)
    if len(runs) > 1:
        made, outcomes = steps.compared(runs, asked, as_json, every_pair)
        target = out or or_exit(lambda: as_run(runs[0])) / "report"
        page, data = or_exit(lambda: write_comparison(made, target, outcomes))
        if as_json:
            steps.emit("osteoray-report/1", outcomes, report=str(page), comparison=str(data))
        else:
            typer.echo(console.contrasts(made))
            typer.echo(f"report: {page}")
        judge(outcomes)
        return
    with quiet(as_json):
        folder = or_exit(lambda: steps.run_folder(runs[0], out))
        files = or_exit(lambda: steps.reported(folder, not no_explain, ceiling))
        found = or_exit(lambda: evaluate_run(folder))
    outcomes = or_exit(lambda: check(asked, found))
    top = or_exit(lambda: ceilings(Run.at(folder)))
    if as_json:
        paths = {name: str(path) if path.is_file() else None for name, path in files.items()}
        steps.emit("osteoray-report/1", outcomes, rows=console.rows(found, top), **paths)
    else:
        typer.echo(console.table(found, top))
        typer.echo(f"report: {files['report']}")
    judge(outcomes)


@app.command()
def compare(
    runs: RunFolders,
    out: Out = None,
    every_pair: EveryPair = False,
    gate: Gates = None,
    gates: GateFile = None,
    as_json: Json = False,
) -> None:
    """Print the tests between the models and cohorts of runs; with --out, write the page too.

    Models on the same pictures by DeLong's paired test, a model on different people by the
    unpaired one, all corrected together (Holm, Bonferroni). What may not be tested says why.
    Between runs, models of one name are tested; --every-pair adds the others, at a price.
    """
    made, outcomes = steps.compared(runs, steps.asked_gates(gate, gates), as_json, every_pair)
    page = None if out is None else or_exit(lambda: write_comparison(made, out, outcomes)[0])
    if as_json:
        steps.emit(made.format, outcomes, **made.model_dump(mode="json", exclude={"format"}))
    else:
        typer.echo(console.contrasts(made))
    if page is not None and not as_json:
        typer.echo(f"report: {page}")
    judge(outcomes)


@app.command()
def clinical(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="the run's folder, with its datasets")],
    image: Annotated[
        str | None, typer.Option("--image", metavar="MODEL", help="that the combined model reads")
    ] = None,
    monotone: Annotated[
        bool, typer.Option("--monotone", help="risk may not fall with age, nor rise with weight")
    ] = False,
    gate: Gates = None,
    gates: GateFile = None,
    as_json: Json = False,
) -> None:
    """Fit clinical, combined and reference models, and test them against the image models.

    Age, sex, height, weight and BMI (XGBoost), the same with the image score, and OST, judged on
    every cohort; `report` has them beside the image models from then on. The combined model learns
    from out-of-fold scores of the training split where the run is cross-validated, and from the
    tuning split where it is not. The tests are in RUN/report/compare.html.
    """
    from eval.clinical import clinical_of

    asked = steps.asked_gates(gate, gates)
    with quiet(as_json):
        or_exit(lambda: clinical_of(run, image, monotone=monotone))
    made, outcomes = steps.compared([run], asked, as_json)
    found = or_exit(lambda: evaluate_run(run))
    page, data = or_exit(lambda: write_comparison(made, run / "report", outcomes))
    if as_json:
        rows = console.rows(found, {})
        steps.emit(
            "osteoray-clinical/1", outcomes, rows=rows, report=str(page), comparison=str(data)
        )
    else:
        typer.echo(console.table(found, {}))
        typer.echo(console.contrasts(made))
        typer.echo(f"report: {page}")
    judge(outcomes)


app.command()(classes)
app.command()(variants)
app.command()(fusion)
app.command()(faces)
app.command(help=HELP)(track)
app.command()(dashboard)


@app.command()
def lint(
    path: Annotated[Path, typer.Argument(metavar="TABLE", help="JSON, CSV, or a metrics.json")],
) -> None:
    """Say where a table of results contradicts itself: ours, or one typed in from a paper.

    Counts against percentages, shares of n, accuracy against sensitivity and specificity, parts
    against wholes, intervals against estimates, AUROC against its bounds. A finding is impossible,
    not a proportion of n (averaged?), or perhaps a misprint. Exit code 5 if there are any.
    """
    from eval.linter import lint as contradictions
    from eval.linter import read_table

    found = or_exit(lambda: contradictions(read_table(path)))
    for finding in found:
        typer.echo(finding.line())
    typer.echo(f"{len(found)} contradiction(s) in {path}")
    raise typer.Exit(console.FAILED if found else 0)


if __name__ == "__main__":
    app(prog_name="python -m eval")
