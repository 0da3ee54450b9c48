"""The verbs `track` and `dashboard` of `python -m eval`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer

import eval.dashboards
from eval.console import WRONG, or_exit
from eval.peer import as_run
from eval.runs import Run

RunFolders = Annotated[
    list[Path], typer.Argument(metavar="RUN...", help="runs' folders, or a sweep's with its trials")
]
HELP = (eval.dashboards.__doc__ or "").replace("\n\n    ", "\n\n\b\n    ")


def track(
    runs: RunFolders,
    online: Annotated[
        bool, typer.Option("--online", help="send to the W&B server; needs a login")
    ] = False,
    no_explain: Annotated[bool, typer.Option("--no-explain", help="leave out Grad-CAM")] = False,
    world: Annotated[
        Path | None,
        typer.Option(metavar="WORLD.JSON", help="of phantoms: shows that the pictures are of it"),
    ] = None,
    show_patients: Annotated[
        bool, typer.Option("--show-patients", help="Grad-CAM of people too; never of faces")
    ] = False,
) -> None:
    """See `eval.dashboards`."""
    from eval.dashboards.identity import evaluation, line_of
    from eval.dashboards.log import log
    from eval.dashboards.names import slugs
    from eval.dashboards.pictures import pictures
    from eval.dashboards.told import of_run
    from training.tracking.identity import mode_of
    from training.tracking.sync import reason

    mode = "online" if online else "offline"

    def allowed() -> None:
        if mode_of(mode)[0] != mode:
            raise ValueError("the environment (WANDB_MODE or WANDB_DISABLED) forbids it: unset it")

    def one(folder: Path) -> None:
        told = of_run(folder, line_of(folder))
        said = told.withheld
        if not no_explain:
            run = Run.at(folder)
            told.pictures, kept = pictures(run, slugs(run.cohorts), show_patients, world)
            said = [*said, *kept]
        for line in said:
            typer.echo(f"{folder.name}: {line}")
        try:
            done = log(evaluation(folder), told, mode)
        except Exception as e:  # the library's errors are many
            raise ValueError(f"{folder}: W&B: {reason(e)}") from e
        typer.echo(f"{folder.name}: {done}")

    or_exit(allowed)
    _each(or_exit(lambda: expanded(runs)), one)


def dashboard(
    runs: RunFolders,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FOLDER", help="else the first run's report/")
    ] = None,
    online: Annotated[
        bool, typer.Option("--online", help="save them at W&B, in place of those saved before")
    ] = False,
    entity: Annotated[
        str, typer.Option(metavar="TEAM", help="who owns the project; with --online")
    ] = "",
) -> None:
    """Write a W&B workspace and a W&B report of tracked runs: workspace.json and report.json.

    They lay out the cohorts side by side, drift between sites, subgroup gaps, what a sweep varied,
    learning curves and Grad-CAM. Panels are made of what these runs log, and of nothing else; make
    them again when a cohort or a model is new. Without an account: `python -m eval report RUN RUN`
    shows the same comparison, `python -m tuning dashboard` the sweep.
    """
    # The library's makers are sent no reports of errors: tracebacks name files. Read at its import.
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    from eval.dashboards.identity import evaluation, line_of
    from eval.dashboards.known import Known
    from eval.dashboards.log import logged_pictures
    from eval.dashboards.told import Told, of_run
    from eval.dashboards.workspace import Dashboards
    from training.tracking.sync import reason

    if online and not entity:
        print("eval: --online needs --entity TEAM: who owns the project", file=sys.stderr)
        raise typer.Exit(WRONG)
    told: dict[Path, Told] = {}

    def one(folder: Path) -> None:
        told[folder] = of_run(folder, line_of(folder))
        if logged_pictures(evaluation(folder)) is None:
            typer.echo(f"{folder.name}: not logged yet: python -m eval track {folder}")

    failed = _tried(or_exit(lambda: expanded(runs)), one)
    if told:
        made = Dashboards.of(Known.of(told), entity)
        folder = out or next(iter(told)) / "report"
        for path in or_exit(lambda: made.write(folder)):
            typer.echo(path)
        if online:
            try:
                addresses = made.save(folder)
            except Exception as e:  # the library's errors are many
                print(f"eval: W&B: {reason(e)}", file=sys.stderr)
                raise typer.Exit(WRONG) from e
            for address in addresses:
                typer.echo(address)
    if failed:
        raise typer.Exit(WRONG)


def expanded(places: Sequence[Path]) -> list[Path]:
    """The runs themselves, and of a sweep's folder those of its trials that predicted something.

    Raises:
        ValueError: nothing there was evaluated, or a run is named twice.
    """
    found: list[Path] = []
    for place in places:
        trials = [p for p in sorted(place.glob("*")) if p.is_dir() and not p.is_symlink()]
        if place.is_file() or _predicted(place):
            found.append(as_run(place))
        elif with_predictions := [p for p in trials if _predicted(p)]:
            found += with_predictions
        else:
            raise ValueError(f"{place}: neither a run with predictions nor a folder of such runs")
    seen = [f.resolve() for f in found]
    if twice := next((f for f, r in zip(found, seen, strict=True) if seen.count(r) > 1), None):
        raise ValueError(f"{twice}: named twice")
    return found


def _predicted(folder: Path) -> bool:
    return any(folder.glob("cohorts/*/predictions.parquet"))


def _each(folders: Sequence[Path], work: Callable[[Path], None]) -> None:
    if _tried(folders, work):
        raise typer.Exit(WRONG)


def _tried(folders: Sequence[Path], work: Callable[[Path], None]) -> bool:
    """Whether one of them failed, which is said and does not keep the others from being done."""
    failed = False
    for folder in folders:
        try:
            work(folder)
        except (ValueError, OSError) as e:
            failed = True
            for line in str(e).splitlines() or [type(e).__name__]:
                print(f"eval: {line}", file=sys.stderr)
    return failed
