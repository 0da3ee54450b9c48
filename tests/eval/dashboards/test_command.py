"""`track` and `dashboard` as they are typed: help, refusals, sweeps, a broken run among others."""

from __future__ import annotations

import re
import shutil
import sys

import pytest
from typer.testing import CliRunner

from eval.__main__ import app
from tests.eval.dashboards.reading import evaluation_of, offline


def call(*words: object):
    return CliRunner().invoke(app, [str(w) for w in words])


def test_help_documents_every_key(told):
    text = call("track", "--help").output
    for key in told.keys:
        head, *rest = key.split("/")
        assert f"{head}/" in text
        name = re.sub(r"_(lo|hi)$", "", rest[-1])
        assert re.search(rf"\b{name}\b", text), name


def test_a_sweeps_folder_stands_for_its_trials(run, tmp_path):
    sweep = tmp_path / "sweep"
    for i in (1, 2):
        shutil.copytree(run, sweep / f"ospenscreen-smoke-000000000{i}")
    (sweep / "failed-0123456789").mkdir()
    (sweep / "latest").symlink_to("ospenscreen-smoke-0000000001")
    done = call("track", sweep, "--no-explain")
    assert done.exit_code == 0, done.output
    ids = {evaluation_of(p).log.run.run_id for p in sweep.glob("ospenscreen-*")}
    assert len(ids) == 2
    assert call("track", sweep, "--no-explain").output.count("nothing new") == 2


def test_a_broken_run_is_named_and_the_others_are_logged(run, tmp_path):
    broken = tmp_path / "broken"
    (broken / "cohorts" / "here").mkdir(parents=True)
    (broken / "cohorts" / "here" / "predictions.parquet").write_bytes(b"no parquet")
    done = call("track", broken, run, "--no-explain")
    assert done.exit_code == 2
    assert "not a readable parquet file" in done.output
    assert len(offline(run)) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["track", "{tmp}/nowhere"], "neither a run with predictions nor a folder"),
        (["track", "{run}", "{run}"], "named twice"),
        (["dashboard", "{run}", "--online"], "--online needs --entity"),
    ],
)
def test_what_the_user_can_put_right_is_a_line(run, tmp_path, words, said):
    done = call(*(w.format(tmp=tmp_path, run=run) for w in words))
    assert done.exit_code == 2
    assert said in done.output
    assert "Traceback" not in done.output


@pytest.mark.parametrize("mode", ["disabled", "offline"])
def test_the_environment_may_forbid_it(run, monkeypatch, mode):
    monkeypatch.setenv("WANDB_MODE", mode)
    done = call("track", run, "--no-explain", "--online")
    assert done.exit_code == 2
    assert "the environment (WANDB_MODE or WANDB_DISABLED) forbids it" in done.output
    assert not offline(run)


def test_a_server_that_is_away_is_said_in_a_line(run, monkeypatch):
    monkeypatch.setattr("training.tracking.wandb_run.START_S", 2.0)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("WANDB_API_KEY", "0123456789" * 4)
    done = call("track", run, "--no-explain", "--online")
    assert done.exit_code == 2
    assert "W&B: " in done.output
    sys.modules["wandb"].teardown()  # the next command is another process
    assert "in wandb/" in call("track", run, "--no-explain").output


def test_the_dashboards_say_what_is_not_logged_yet(run, tmp_path):
    out = tmp_path / "out"
    done = call("dashboard", run, "--out", out)
    assert done.exit_code == 0, done.output
    assert "not logged yet: python -m eval track" in done.output
    assert {p.name for p in out.iterdir()} == {"workspace.json", "report.json"}
    call("track", run, "--no-explain")
    assert "not logged yet" not in call("dashboard", run).output
    assert (run / "report" / "workspace.json").is_file()
