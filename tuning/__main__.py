"""Search a recipe's settings: trials of `training`, compared on the tune split, in one folder.

From nothing to a sweep that has been resumed:

    make demo                                             # a small world to try it on
    python -m tuning ospenscreen:smoke --trials 12        # Ctrl-C it, or kill it
    python -m tuning ospenscreen:smoke --trials 12        # goes on where it was
    python -m tuning show SWEEP                           # the table, while it runs too
    python -m training --recipe SWEEP/best.yaml           # the best, trained as a run of its own

The first trial is the recipe as it is. A setting you give is fixed and not searched:

    python -m tuning ospenscreen --trials 40 student.epochs=60 compute.use_gpu=true

What is drawn depends on the seed and on the trials before, and not on kills. A trial that is worse
than others were by then is stopped early (--pruner); one that fails, diverges or runs out of memory
is recorded with its reason, and the sweep goes on. The objective is read from the tune split: test
splits and other sites are not even predicted.

Several at a time on a Ray cluster (of $RAY_ADDRESS, else of this machine), and machines that share
one sweep through a database, each with the same command and paths.runs on storage that all see:

    python -m tuning ospenscreen --trials 40 --concurrent 4 compute.launcher=ray compute.workers=2
    python -m tuning ospenscreen --trials 40 --storage postgresql://user:password@host/database

Two objectives, another way to search, and a start from what an earlier sweep found:

    python -m tuning ospenscreen --trials 60 --objective auroc_low,gap --sampler nsga2
    python -m tuning ospenscreen --trials 40 --warm runs/sweeps/ospenscreen-0123456789

SWEEP is <runs>/sweeps/<recipe>-<hash>/, printed last. About sweeps that are there:

    python -m tuning show SWEEP          # its table
    python -m tuning confirm SWEEP       # the gain with an interval, on new seeds; then on test
    python -m tuning dashboard SWEEP     # optuna-dashboard in a browser, from the files on disk
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Annotated

import typer

from training import leave
from training.interrupt import EXIT_CODE, Interrupted

#: First words that are no recipe, and where their commands are.
VERBS = {
    "show": "tuning.show",
    "confirm": "tuning.results.confirm",
    "dashboard": "tuning.dashboard",
}
app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command(help=(__doc__ or "").replace("\n\n    ", "\n\n\b\n    "), no_args_is_help=True)
def tune(
    name: Annotated[str, typer.Argument(metavar="RECIPE", help="python -m training --list")],
    changes: Annotated[
        list[str] | None, typer.Argument(metavar="SECTION.KEY=VALUE", help="settings to fix")
    ] = None,
    trials: Annotated[int, typer.Option(min=1, help="in all, those done before included")] = 20,
    space: Annotated[
        str | None, typer.Option(help="what is searched (tuning/spaces); by default the recipe's")
    ] = None,
    sampler: Annotated[str, typer.Option(help="who draws: tpe, gp, nsga2, random")] = "tpe",
    pruner: Annotated[
        str, typer.Option(help="who is stopped early: asha, hyperband, median, none")
    ] = "asha",
    objective: Annotated[
        str | None,
        typer.Option(
            metavar="NAME[,NAME]",
            help="auroc_low (its lower 95% bound; default), auroc, gap (between subgroups), cost "
            "(multiply-adds), c (default of survival models)",
        ),
    ] = None,
    concurrent: Annotated[int, typer.Option(min=1, help="trials at a time, on Ray above 1")] = 1,
    storage: Annotated[
        str | None,
        typer.Option(metavar="URL", help="postgresql://... or sqlite:///...; default: a journal"),
    ] = None,
    warm: Annotated[
        Path | None, typer.Option(metavar="SWEEP", help="try the best of another sweep first")
    ] = None,
    keep: Annotated[int, typer.Option(min=1, help="so many of the best keep weights")] = 3,
    fresh: Annotated[
        bool, typer.Option("--fresh/--resume", help="delete this sweep and its runs first")
    ] = False,
) -> None:
    """See the module's docstring."""
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    from tuning.results import best
    from tuning.search import search
    from tuning.show import conclude
    from tuning.sweep import Sweep

    try:
        sweep = Sweep.of(
            name,
            changes or [],
            space=space,
            sampler=sampler,
            pruner=pruner,
            objectives=objective.split(",") if objective else (),
            storage=storage,
            concurrent=concurrent,
            keep=keep,
            warm=warm,
        )
        study = search(sweep, trials, fresh)
        conclude(sweep, study)
    except Interrupted as e:
        typer.echo(f"interrupted: {e}; the same command goes on", err=True)
        raise typer.Exit(EXIT_CODE) from e
    except (OSError, ValueError, StorageInternalError, SQLAlchemyError) as e:
        lost = isinstance(e, ConnectionError | StorageInternalError | SQLAlchemyError)
        why = str(e.__cause__ or e).partition("\n")[0] if lost else str(e)
        if storage and lost:
            typer.echo(
                f"error: the database that holds the study went away ({why}); nothing is lost, "
                "the same command goes on when it is back",
                err=True,
            )
            raise typer.Exit(EXIT_CODE) from e
        typer.echo(f"error: {why}", err=True)
        raise typer.Exit(2) from e
    if best(study) is None:
        typer.echo(f"error: no trial was completed, see {sweep.folder}", err=True)
        raise typer.Exit(1)


def main(words: list[str]) -> None:
    """A verb about sweeps, or a sweep."""
    if words and words[0] in VERBS:
        verbs = importlib.import_module(VERBS[words[0]]).app
        verbs(words[1:], prog_name=f"python -m tuning {words[0]}")
    app(words, prog_name="python -m tuning")


if __name__ == "__main__":
    leave.run(main, sys.argv[1:])
