"""The cluster command: look before a run, and send a run to a Ray cluster.

python -m cluster doctor
python -m cluster submit -- ospenscreen:smoke compute.workers=2
"""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="""Ray clusters: look before a run, and send a run to one. See cluster/README.md.

\b
python -m cluster doctor
python -m cluster submit -- ospenscreen:smoke compute.workers=2""",
)


@app.command()
def doctor() -> None:
    """Say what will not work on this machine, and how to put it right.

    Python and libraries against the lock, CPUs, memory, disk, /dev/shm, GPUs, Ray's token, the
    cluster's dashboard, packed datasets under OSTEORAY_HOME. Exit code 1 if something fails.
    """
    from cluster.doctor import examine, report

    found = examine(os.environ, Path.home())
    typer.echo(report(found))
    count = Counter(c.status for c in found)
    typer.echo(f"{count['ok']} ok, {count['warn']} to think about, {count['fail']} to put right")
    raise typer.Exit(1 if count["fail"] else 0)


@app.command()
def submit(
    words: Annotated[
        list[str], typer.Argument(metavar="-- WORDS", help="what follows python -m MODULE")
    ],
    module: Annotated[
        str, typer.Option(help="training, tuning, eval or data_sharding")
    ] = "training",
    address: Annotated[
        str, typer.Option(help="the dashboard's; else $RAY_API_SERVER_ADDRESS, else this machine's")
    ] = "",
    submission_id: Annotated[str, typer.Option(help="a name for ray job logs and stop")] = "",
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="follow the log until the job ends")
    ] = True,
    allow_unauthenticated: Annotated[
        bool, typer.Option("--allow-unauthenticated", help="speak to a cluster without a token")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="print the command and stop")] = False,
) -> None:
    """Send a run to a Ray cluster, from the repository's root.

    \b
    python -m cluster submit -- ospenscreen:smoke compute.workers=2
    python -m cluster submit --no-wait -- ospenscreen paths.internal=/data/shards/asan
    python -m cluster submit --module tuning -- ospenscreen:smoke --trials 5

    This is `ray job submit --working-dir .` with OSTEORAY_HOME and the token passed on. A run that
    was stopped (ray job stop ID) goes on when it is submitted again. A cluster that is not on this
    machine is spoken to with a token only. Files that git ignores are not uploaded.
    """
    import shlex

    from cluster.access import address_of, auth_mode, token_of
    from cluster.submit import check_recipe, check_upload, command, ray_cli, uploaded

    root = Path.cwd()
    home = Path(os.environ.get("OSTEORAY_HOME", "demo")).absolute()
    try:
        where = address_of(os.environ, address)
        token = token_of(os.environ, Path.home())
        mode, warning = auth_mode(os.environ, where, token, allow_unauthenticated)
        line = command(ray_cli(), where, home, words, module, submission_id, wait)
        files = uploaded(root)
        size = check_upload(root, home, files or [])
        if module == "training":
            check_recipe(words)
    except ValueError as e:
        typer.echo(f"error: {e}", err=True)
        raise typer.Exit(2) from e
    if warning:
        typer.echo(f"warning: {warning}", err=True)
    upload = "an upload" if files is None else f"{size / 2**20:.1f} MiB"
    typer.echo(f"sending {upload}: RAY_AUTH_MODE={mode} {shlex.join(line)}")
    if not dry_run:
        done = subprocess.run(line, env=os.environ | {"RAY_AUTH_MODE": mode}, check=False)
        raise typer.Exit(done.returncode)


if __name__ == "__main__":
    app(prog_name="python -m cluster")
