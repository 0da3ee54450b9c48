"""Search a recipe's settings: learning rates, distillation, thresholds of the proxy labels.

\b
python -m tuning ospenscreen:smoke --trials 5
python -m tuning ospenscreen --trials 40 compute.launcher=ray compute.workers=8
python -m tuning ospenscreen:smoke --trials 5 student.epochs=4 student.alpha=0.5

Each trial is a run (python -m training) in <runs>/sweeps/<recipe>-<hash>/; the first is the recipe
as it is. A setting you give is fixed and not searched. The objective is the student's AUROC on the
tune split, or the one model's (a survival model's C); test and external cohorts are never looked
at.

The same command again goes on, also after a kill, until there are --trials in all. The table of
trials is printed, best.yaml is written, and the command that trains the best again comes last.
"""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command(help=__doc__, no_args_is_help=True)
def tune(
    name: Annotated[str, typer.Argument(metavar="RECIPE", help="python -m training --list")],
    changes: Annotated[
        list[str] | None, typer.Argument(metavar="SECTION.KEY=VALUE", help="settings to fix")
    ] = None,
    trials: Annotated[int, typer.Option(min=1, help="in all, those done before included")] = 20,
    fresh: Annotated[
        bool, typer.Option("--fresh/--resume", help="delete this sweep and its runs first")
    ] = False,
) -> None:
    """See the module's docstring."""
    from tuning.results import best, command, table, write_best
    from tuning.search import Sweep, search

    try:
        sweep = Sweep.of(name, changes or [])
        study = search(sweep, trials, fresh)
    except ValueError as e:
        typer.echo(f"error: {e}", err=True)
        raise typer.Exit(2) from e
    typer.echo(table(study))
    found = best(study)
    if found is None:
        typer.echo(f"error: no trial was completed, see {sweep.folder}", err=True)
        raise typer.Exit(1)
    typer.echo("The best of many on the tune split: its AUROC there is optimistic.")
    typer.echo(f"report:  python -m eval report {sweep.folder / found.user_attrs['run']}")
    typer.echo(f"best:    {write_best(sweep, study)}")
    typer.echo(command(sweep, found))


if __name__ == "__main__":
    app(prog_name="python -m tuning")
