"""Look at a sweep in a browser, live, from its study on this disk: no account, no network.

python -m tuning dashboard SWEEP [--port 8080]

optuna-dashboard shows history, importances, learning curves and every trial. It can look and change
nothing: requests to delete a study or to add a trial are refused, since a sweep may be at work.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from wsgiref.simple_server import make_server

import typer

from tuning.store import open_study
from tuning.sweep import Sweep

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command(help=(__doc__ or "").replace("\n\n    ", "\n\n\b\n    "), no_args_is_help=True)
def dashboard(
    folder: Annotated[Path, typer.Argument(metavar="SWEEP", help="<runs>/sweeps/<recipe>-<hash>")],
    storage: Annotated[
        str | None, typer.Option(metavar="URL", help="of the database that holds its study")
    ] = None,
    host: Annotated[str, typer.Option(help="who may look: this machine alone, or 0.0.0.0")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(help="where; 0 takes a free one")] = 8080,
) -> None:
    """See the module's docstring."""
    try:
        server = make_server(host, port, of_sweep(Sweep.at(folder, storage)))
    except (OSError, ValueError) as e:
        typer.echo(f"error: {e}", err=True)
        raise typer.Exit(2) from e
    typer.echo(f"http://{host}:{server.server_port}/dashboard/studies/0  (Ctrl-C ends it)")
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        server.server_close()


def of_sweep(sweep: Sweep) -> WSGIApplication:
    """The dashboard of one sweep, to look at only.

    Raises:
        ValueError: optuna-dashboard is not installed, or the study cannot be opened.
    """
    try:
        from optuna_dashboard import wsgi
    except ImportError as e:
        raise ValueError("optuna-dashboard is not installed: pip install optuna-dashboard") from e
    return looking(wsgi(open_study(sweep)._storage))


def looking(dashboard: WSGIApplication) -> WSGIApplication:
    """The same, but for requests that would change something."""

    def answer(environment: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        if environment["REQUEST_METHOD"] in ("GET", "HEAD"):
            return dashboard(environment, start)
        start("405 Method Not Allowed", [("Content-Type", "text/plain"), ("Allow", "GET, HEAD")])
        return [b"this dashboard can look only: a sweep may be at work\n"]

    return answer
