"""W&B after the event: from the files of a run, however it ended.

    python -m training track sync demo/runs/latest              # offline runs below RUN/wandb
    python -m training track sync demo/runs/latest --online     # to the server

One W&B run for each stage that has metrics; one in all for a trial of a sweep, or with
track.one_run=true. Done again, it adds nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from training.tracking.identity import mode_of
from training.tracking.sync import sync as sync_run

app = typer.Typer(
    help="Give W&B what a run's metrics.jsonl files hold.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)


@app.callback()
def track() -> None:
    """Give W&B what a run's metrics.jsonl files hold."""


@app.command(help=(__doc__ or "").replace("\n\n    ", "\n\n\b\n    "))
def sync(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="a run's folder")],
    online: Annotated[
        bool, typer.Option("--online", help="send to the W&B server; needs a login")
    ] = False,
    stage: Annotated[str | None, typer.Option(help="only this one, such as teacher")] = None,
) -> None:
    """See the module's docstring."""
    try:
        if online and mode_of("online")[0] != "online":
            raise ValueError("the environment (WANDB_MODE or WANDB_DISABLED) forbids it: unset it")
        sync_run(run, stage, "online" if online else "offline", typer.echo)
    except ValueError as e:
        typer.echo(f"error: {e}", err=True)
        raise typer.Exit(2) from e
