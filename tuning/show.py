"""What a sweep has found so far, from its folder: while it runs, after it, without training.

python -m tuning show SWEEP [--storage URL]
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from optuna.study import Study

from tuning.results import best, command, table, write_best
from tuning.results.page import lead, write_page
from tuning.store import open_study
from tuning.sweep import Sweep

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command(help=__doc__, no_args_is_help=True)
def show(
    folder: Annotated[Path, typer.Argument(metavar="SWEEP", help="<runs>/sweeps/<recipe>-<hash>")],
    storage: Annotated[
        str | None, typer.Option(metavar="URL", help="of the database that holds its study")
    ] = None,
) -> None:
    """See the module's docstring."""
    try:
        sweep = Sweep.at(folder, storage)
        conclude(sweep, open_study(sweep))
    except (OSError, ValueError) as e:
        typer.echo(f"error: {e}", err=True)
        raise typer.Exit(2) from e


def conclude(sweep: Sweep, study: Study) -> None:
    """Print the table and how to go on, and write the sweep's files about its best."""
    typer.echo(table(sweep, study))
    typer.echo(f"page:    {write_page(sweep, study)}")
    found = best(study)
    if found is None:
        return
    typer.echo(lead(sweep, study, found))
    if found.user_attrs["slot"]:
        typer.echo("The best of many on the tune split: its score there is optimistic.")
    typer.echo(f"report:  python -m eval report {sweep.folder / found.user_attrs['run']}")
    typer.echo(f"best:    {write_best(sweep, study)}")
    if found.user_attrs["slot"]:
        typer.echo(f"confirm: python -m tuning confirm {sweep.folder}")
    typer.echo(f"train:   {command(sweep)}")
    typer.echo(f"sweep:   {sweep.folder}")
