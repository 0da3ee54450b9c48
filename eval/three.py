"""The verbs about three classes: `classes`, `variants` and `fusion` of ``python -m eval``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from eval import console
from eval.console import or_exit, quiet
from eval.peer import as_run

Json = Annotated[bool, typer.Option("--json", help="JSON on stdout, and nothing else")]
Out = Annotated[
    Path | None, typer.Option("--out", metavar="FOLDER", help="where to write what is made")
]
Cohorts = Annotated[
    list[str] | None, typer.Option(metavar="COHORT", help="judge this one only; repeatable")
]


def classes(
    first: Annotated[
        str | None,
        typer.Option(metavar="RUN", help="that finds osteoporosis; RUN:MODEL where it has several"),
    ] = None,
    second: Annotated[
        str | None,
        typer.Option(metavar="RUN", help="that finds low bone mass among the rest"),
    ] = None,
    unified: Annotated[
        list[str] | None,
        typer.Option(metavar="RUN", help="a model of three classes; may be given several times"),
    ] = None,
    cohort: Cohorts = None,
    tuned: Annotated[
        bool, typer.Option("--tuned", help="judge unified models at thresholds of tuning data too")
    ] = False,
    draws: Annotated[int, typer.Option(metavar="N", help="resamples of patients")] = 5000,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Normal, low bone mass or osteoporosis: two stages against models of three classes.

    The stages' probabilities are composed and their frozen thresholds applied in turn; errors are
    attributed to the stage that made them. All systems are judged and tested, paired, on the same
    pictures. Writes three_classes.html and .json to --out, or to the first run's report folder.
    """
    from eval.classes import three_classes
    from eval.classes.page import write_page
    from eval.classes.sources import split
    from eval.classes.table import table

    with quiet(as_json):
        made = or_exit(
            lambda: three_classes(first, second, unified or (), cohort or (), tuned, draws)
        )
        named = first or (unified or [""])[0]
        target = out or or_exit(lambda: as_run(split(named)[0])) / "report"
        page, _ = or_exit(lambda: write_page(made, target))
    if as_json:
        console.emit(made.model_dump(mode="json"))
    else:
        typer.echo(table(made))
        typer.echo(f"report: {page}")


def variants(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN...", help="of three classes, the yardstick first; or one variants.json"
        ),
    ],
    names: Annotated[
        str, typer.Option(metavar="A,B,...", help="what to call them, in their order")
    ] = "",
    cohort: Cohorts = None,
    test: Annotated[
        str, typer.Option(metavar="STATISTIC", help="that p is of, chosen beforehand")
    ] = "auroc_ovr",
    draws: Annotated[int, typer.Option(metavar="N", help="resamples, and swaps")] = 2000,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Ablations and baselines of three classes in one table, each tested against the first.

    Accuracy, averages over classes, AUROC and kappa with intervals by patient, on people and on
    pictures, beside what age, sex and BMI alone reach; a paired permutation test, corrected for the
    rows (Holm). Writes variants.html, .json and .md (for a README) to --out, or to the first run's
    report folder. Runs that judged other patients are refused.
    """
    from eval.classes.sources import split
    from eval.variants import variants as tabled
    from eval.variants.listed import listed
    from eval.variants.page import write_page
    from eval.variants.table import table

    with quiet(as_json):
        called = names.split(",") if names else []
        if len(runs) == 1 and runs[0].endswith(".json"):
            runs, called = or_exit(lambda: listed(Path(runs[0])))
        made = or_exit(lambda: tabled(runs, called, cohort or (), test, draws))
        target = out or or_exit(lambda: as_run(split(runs[0])[0])) / "report"
        page = or_exit(lambda: write_page(made, target))[0]
    if as_json:
        console.emit(made.model_dump(mode="json"))
    else:
        typer.echo(table(made))
        typer.echo(f"report: {page}")


def fusion(
    face: Annotated[str, typer.Option(metavar="RUN", help="that read faces; or RUN:MODEL")],
    cxr: Annotated[str, typer.Option(metavar="RUN", help="that read chest radiographs")],
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="where to write it")],
    mixed: Annotated[
        bool,
        typer.Option("--mixed", help="fit to tuning data of one run, test data of the other"),
    ] = False,
    as_json: Json = False,
) -> None:
    """Face, chest radiograph and age, sex and BMI as one score, for patients who have them.

    A logistic model of the calibrated log odds, fitted to patients who are tuning data of both runs
    and judged once on those who are test data of both; AUROC of each score and of all together,
    paired. Patients are put together by pseudonym: pack both datasets with one key and one --name.
    Writes fusion.json, fusion.md and predictions.parquet, which `report` takes.
    """
    from eval.fusion import fuse
    from eval.fusion.text import table, write

    with quiet(as_json):
        made, predictions = or_exit(lambda: fuse(face, cxr, mixed))
        path = or_exit(lambda: write(made, predictions, out))
    if as_json:
        console.emit(made.model_dump(mode="json"))
    else:
        typer.echo(table(made))
        typer.echo(f"predictions: {path}")
