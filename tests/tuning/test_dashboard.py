"""The local dashboard: what is on disk, to look at and not to change; and ``show``."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from wsgiref.simple_server import make_server

import pytest
from typer.testing import CliRunner

from tests.tuning.trials import FAIL, add
from tuning.dashboard import app as dashboard
from tuning.dashboard import of_sweep
from tuning.show import app as show
from tuning.store import open_study
from tuning.sweep import Sweep


@pytest.fixture
def sweep(changes):
    sweep = Sweep.of("ospenscreen:smoke", changes)
    study = open_study(sweep)
    add(sweep, study, [0.7])
    add(sweep, study, None, FAIL, why="killed by signal 9 (out of memory?)")
    return sweep


def test_it_shows_the_study_and_deletes_nothing(sweep):
    pytest.importorskip("optuna_dashboard", reason="optuna-dashboard is not installed")
    server = make_server("127.0.0.1", 0, of_sweep(sweep))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    place = f"http://127.0.0.1:{server.server_port}"
    try:
        with urllib.request.urlopen(f"{place}/api/studies") as answer:
            (study,) = json.load(answer)["study_summaries"]
        assert study["study_name"] == sweep.folder.name
        with urllib.request.urlopen(f"{place}/dashboard") as answer:
            assert b"<html" in answer.read()
        for method in ("DELETE", "POST", "PUT"):
            request = urllib.request.Request(f"{place}/api/studies/0", b"{}", method=method)
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(request)
            assert refused.value.code == 405
    finally:
        server.shutdown()
        server.server_close()
    assert len(open_study(sweep).trials) == 2


def test_show_prints_the_table_and_how_to_go_on(sweep):
    done = CliRunner().invoke(show, [str(sweep.folder)])
    assert done.exit_code == 0, done.output
    assert "0.7000" in done.stdout
    assert "out of memory?" in done.stdout
    assert "No trial beat the recipe as it is" in done.stdout
    assert f"--recipe {sweep.folder}" in done.stdout
    assert (sweep.folder / "best.yaml").exists()
    assert "killed by signal 9" in (sweep.folder / "sweep.html").read_text()


@pytest.mark.parametrize("command", [show, dashboard])
def test_what_is_no_sweep_is_refused(command, tmp_path):
    done = CliRunner().invoke(command, [str(tmp_path)])
    assert done.exit_code == 2
    assert "no sweep's folder" in done.output
