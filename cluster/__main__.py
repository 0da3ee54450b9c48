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
def doctor(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[-- WORDS]", help="what follows python -m training, if you know"),
    ] = None,
) -> None:
    """Say what will not work on this machine, and how to put it right.

    \b
    python -m cluster doctor
    python -m cluster doctor -- ospenscreen:smoke compute.workers=4 track.wandb=online

    Versions against the lock, CPUs, memory, disks, /dev/shm, open files, clocks, GPUs and their
    driver, Ray's token, the dashboard, ports, the network card, the datasets that the run reads
    (without WORDS those under OSTEORAY_HOME) and W&B. Exit code 1 if something fails.
    """
    from cluster.doctor import examine, report
    from cluster.plan import plan_of, resolved

    try:
        plan = plan_of(resolved(words)) if words else None
    except (ValueError, RuntimeError) as e:
        raise _refused(e) from e
    found = examine(os.environ, Path.home(), plan)
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
    env: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE for the job; not for secrets")
    ] = None,
    resubmit: Annotated[
        int, typer.Option(min=0, help="submit again so often when the run was interrupted")
    ] = 0,
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

    This is `ray job submit --working-dir .` with OSTEORAY_HOME and the token passed on, and with
    two minutes for a last checkpoint when the job is stopped. A run that was stopped (ray job stop
    ID) goes on when it is submitted again; the exit code is then 75. A cluster that is not on this
    machine is spoken to with a token only. Files that git ignores, data and weights are not sent.
    """
    import shlex

    from cluster.access import address_of, auth_mode, token_of
    from cluster.jobs import exit_code, outcome
    from cluster.plan import resolved
    from cluster.submit import command, new_id, ray_cli, variables
    from cluster.upload import check_upload, uploaded

    root = Path.cwd()
    home = Path(os.environ.get("OSTEORAY_HOME", "demo")).absolute()
    try:
        where = address_of(os.environ, address)
        token = token_of(os.environ, Path.home())
        mode, warning = auth_mode(os.environ, where, token, allow_unauthenticated)
        name, more = submission_id or new_id(module), variables(env or [])
        line = command(ray_cli(), where, home, words, module, name, wait, more)
        size = check_upload(root, home, uploaded(root))
        if module == "training":
            resolved(words)
    except ValueError as e:
        raise _refused(e) from e
    except RuntimeError as e:  # a laptop without torch may submit all the same
        typer.echo(f"warning: the words were not checked: {e}", err=True)
    if warning:
        typer.echo(f"warning: {warning}", err=True)
    typer.echo(f"sending {size / 2**20:.1f} MiB: RAY_AUTH_MODE={mode} {shlex.join(line)}")
    if dry_run:
        return
    secret = token if mode == "token" else None
    for attempt in range(resubmit + 1):
        last = f"{name}-{attempt}" if attempt else name
        line = command(ray_cli(), where, home, words, module, last, wait, more)
        done = subprocess.run(line, env=os.environ | {"RAY_AUTH_MODE": mode}, check=False)
        ended = outcome(where, last, secret) if wait else None
        code = exit_code(done.returncode, ended)
        if not (ended and ended.interrupted and attempt < resubmit):
            break
        typer.echo(f"{last} was interrupted after a checkpoint: submitting it again")
    if wait and code == 75:
        typer.echo("interrupted: the same command goes on where it was", err=True)
    raise typer.Exit(code)


@app.command()
def wait(
    machines: Annotated[int, typer.Argument(min=1, help="how many, the head included")],
    address: Annotated[str, typer.Option(envvar="RAY_ADDRESS", help="HEAD:6379")],
    timeout: Annotated[float, typer.Option(min=0, help="seconds")] = 300,
) -> None:
    """Wait until so many machines have joined a cluster; used by cluster/slurm.sbatch."""
    from cluster import nodes

    try:
        found = nodes.wait(nodes.alive(address, typer.echo), machines, timeout, typer.echo)
    except ValueError as e:
        raise _refused(e) from e
    typer.echo(f"{found} machines")


@app.command()
def stop(
    timeout: Annotated[float, typer.Option(min=0, help="seconds to wait")] = 120,
) -> None:
    """Ask the runs of this machine to write a checkpoint and end, and wait until they have.

    What is stopped so ends with 75; the same command goes on. Exit code 1 if one is still there.
    Pods of cluster/raycluster.yaml call it before they go.
    """
    from cluster.stop import runs
    from cluster.stop import stop as end

    left = end(runs(), timeout, typer.echo)
    for process in left:
        typer.echo(f"{process.pid} is still there after {timeout:g} s", err=True)
    raise typer.Exit(1 if left else 0)


def _refused(error: Exception) -> typer.Exit:
    typer.echo(f"error: {error}", err=True)
    return typer.Exit(2)


if __name__ == "__main__":
    app(prog_name="python -m cluster")
