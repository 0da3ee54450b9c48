"""Train a teacher, proxy-label the public set, distil a student, predict every cohort.

    python -m training ospenscreen:smoke
    python -m training ospenscreen paths.internal=/data/shards/asan compute.workers=8
    python -m training ospenscreen:smoke compute.launcher=local      # this process, without Ray
    torchrun --nproc-per-node 2 -m training ospenscreen:smoke        # without Ray, two processes
    python -m training --recipe best.yaml student.epochs=50          # what a sweep has found

The same command again resumes what is unfinished; asked to stop (SIGTERM, Ctrl-C) it writes a
checkpoint and exits with 75. The run's folder is printed last. Cross-validation, of any recipe:

    python -m training li2026 --folds 5                             # folds side by side on Ray
    python -m training ospenscreen:smoke --folds 3 compute.launcher=local    # one after the other

Each fold is a run of its own that learns from the other parts of the train split, patients whole,
and goes on by itself when the same command is given again. The folder printed last is a run of all:
out-of-fold predictions of the train split, the mean of the folds' probabilities elsewhere.
compute.workers is of one fold, on one node. About runs that are there:

    python -m training track sync RUN      # metrics to W&B
    python -m training pseudo show RUN     # proxy labels: show, sweep, replay, undo

Face2Bone with its ablations and baselines, for one table: python -m training variants --help
"""

from __future__ import annotations

import importlib
import os
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from training import leave
from training.config import Config
from training.interrupt import EXIT_CODE, Interrupted
from training.overrides import override
from training.recipes import RECIPES, recipe

#: First words that are no recipe, and where their commands are.
VERBS = {
    "track": "training.tracking.verbs",
    "pseudo": "training.pseudo.verbs",
    "variants": "training.variants",
}
app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command(help=(__doc__ or "").replace("\n\n    ", "\n\n\b\n    "))
def train(
    name: Annotated[str, typer.Argument(metavar="RECIPE", help="a recipe; --list shows them")] = "",
    changes: Annotated[
        list[str] | None, typer.Argument(metavar="SECTION.KEY=VALUE", help="overrides")
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option("--recipe", metavar="FILE", help="a recipe in a file, such as best.yaml"),
    ] = None,
    folds: Annotated[
        int | None, typer.Option(min=2, metavar="N", help="cross-validate: N runs, and the whole")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="start over instead of resuming")] = False,
    show: Annotated[
        bool, typer.Option("--show", help="print the resolved configuration, stop")
    ] = False,
    listing: Annotated[bool, typer.Option("--list", help="list the recipes and stop")] = False,
) -> None:
    """See the module's docstring."""
    if listing or not (name or file):
        for known, make in RECIPES.items():
            typer.echo(f"{known:20} {(make.__doc__ or '').strip().splitlines()[0]}")
        raise typer.Exit(0 if listing else 2)
    rank = os.environ.get("RANK", "0") if "WORLD_SIZE" in os.environ else "0"
    try:
        config = _config(name, changes or [], folds, file, echo=rank == "0")
    except ValueError as e:
        if rank == "0":  # all ranks would say the same
            typer.echo(f"error: {e}", err=True)
        else:
            _let_rank_0_speak()
        raise typer.Exit(2) from e
    if show:
        typer.echo(config.to_yaml(), nl=False)
        return
    from training.launch import Told, join, start, under_torchrun

    try:
        if folds:
            folder, done = _cross_validate(config, fresh)
        else:
            folder, done = (join if under_torchrun() else start)(config, fresh)
    except Told as e:
        _let_rank_0_speak()
        raise typer.Exit(2) from e
    except Interrupted as e:
        typer.echo(f"interrupted: {e}; the same command goes on", err=True)
        raise typer.Exit(EXIT_CODE) from e
    except (OSError, ValueError) as e:
        whose = "" if rank == "0" else f"rank {rank}: "
        typer.echo(f"error: {whose}{e}", err=True)
        raise typer.Exit(2) from e
    if rank == "0":
        typer.echo(f"{'already complete, nothing to do' if done else 'run'}: {folder}")


def _let_rank_0_speak() -> None:
    """torchrun ends all ranks as soon as one has ended, at times before rank 0 has said why."""
    time.sleep(10)


def _config(
    name: str, changes: list[str], folds: int | None, file: Path | None, echo: bool
) -> Config:
    """What is asked for: a recipe by its name, or one in a file, with the changes."""
    if not file:
        return override(recipe(name), _with_folds(changes, folds))
    from training.recipe_file import read_recipe

    if name and "=" not in name:
        raise ValueError(f"{name}: --recipe {file} names the recipe; leave {name} out")
    changes = [name, *changes] if name else changes
    config, remarks = read_recipe(file, _with_folds(changes, folds))
    for remark in remarks if echo else ():
        typer.echo(f"note: {remark}", err=True)
    return config


def _with_folds(changes: list[str], folds: int | None) -> list[str]:
    if not folds:
        return changes
    if given := [c for c in changes if c.partition("=")[0] in ("data.folds", "data.fold")]:
        raise ValueError(f"{given[0]}: --folds {folds} goes through all folds; leave it out")
    return [*changes, f"data.folds={folds}"]


def _cross_validate(config: Config, fresh: bool) -> tuple[Path, bool]:
    from training.crossvalidate import cross_validate

    return cross_validate(config, fresh)


def main(words: list[str]) -> None:
    """A verb about runs, or the training of a recipe."""
    if words and words[0] in VERBS:  # imported only then: they take a second
        verbs = importlib.import_module(VERBS[words[0]]).app
        verbs(words[1:], prog_name=f"python -m training {words[0]}")
    app(words, prog_name="python -m training")


if __name__ == "__main__":
    leave.run(main, sys.argv[1:])
