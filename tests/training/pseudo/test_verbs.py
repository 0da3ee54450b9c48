from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from tests.conftest import pack_pictures
from tests.training.test_image import relabel
from training.config import Config
from training.launch import launch, prepare
from training.pseudo.sweep import lines
from training.pseudo.verbs import app


def run(*words):
    return CliRunner().invoke(app, [str(w) for w in words])


def test_show_says_what_was_decided_on_what(decided):
    done = run("show", decided())
    assert done.exit_code == 0, done.output
    for words in (
        "decided on 2026-03-01",
        "low bone mass: at 0.7000 and above (given); on tune",
        "of 30 pictures:",
        "warning:",
        "kept against offered",
        "proxy normal against labelled normal",
    ):
        assert words in done.output


def test_a_link_such_as_latest_will_do(decided, tmp_path, monkeypatch):
    folder = decided()
    (tmp_path / "home" / "runs").mkdir(parents=True)
    (tmp_path / "home" / "runs" / "latest").symlink_to(folder)
    monkeypatch.setenv("OSTEORAY_HOME", str(tmp_path / "home"))
    assert run("show", "runs/latest").exit_code == 0
    done = run("undo", "runs/latest", "--yes")
    assert done.exit_code == 0
    assert f"removed {folder}/student" in done.output


def test_sweep_prints_a_row_a_threshold(decided):
    folder = decided()
    done = run("sweep", folder)
    assert done.exit_code == 0, done.output
    assert len(done.output.splitlines()) == 2 + 3
    done = run("sweep", folder, "--lbm", "0.6", "--normal", "0.7", "--prevalence", "0.1")
    assert len(done.output.splitlines()) == 2 + 1
    for bad in (("--lbm", "0.2"), ("--prevalence", "1")):
        done = run("sweep", folder, *bad)
        assert done.exit_code == 2
        assert done.output.count("error:") == 1


def test_a_sweep_of_three_packed_classes_is_of_what_was_learnt(tiny, tmp_path):
    here = pack_pictures(
        tmp_path / "here", "here", "internal", {"train": 24, "tune": 24, "test": 12}, seed=7
    )
    relabel(here)
    folder = prepare(tiny(f"paths.internal={here}", "paths.external=[]", "student.epochs=1"))
    launch(Config.from_yaml(folder / "config.yaml"), folder)
    recorded = json.loads((folder / "pseudo" / "sweep.json").read_text())
    done = run("sweep", folder)
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[1:] == lines(recorded)


def test_replay_agrees_or_exits_with_one(decided):
    folder = decided()
    done = run("replay", folder)
    assert done.exit_code == 0
    assert "byte-identical, 30 rows, sha256" in done.output
    path = folder / "pseudo" / "pseudo_labels.parquet"
    path.write_bytes(path.read_bytes()[:-1])
    done = run("replay", folder)
    assert done.exit_code == 1
    assert "differs: " in done.output
    assert run("show", folder).exit_code == 2


def test_undo_says_first_and_does_when_told(decided):
    folder = decided()
    done = run("undo", folder)
    assert done.exit_code == 2
    assert f"would remove {folder}/student" in done.output
    assert (folder / "student").exists()
    done = run("undo", folder, "--yes")
    assert done.exit_code == 0
    assert not (folder / "student").exists()
    assert "undone: no ledger" in run("show", folder).output
    assert "byte-identical, undone since" in run("replay", folder).output
    assert run("undo", folder, "--yes").output.endswith("no proxy labels to undo\n")


@pytest.mark.parametrize("verb", ["show", "sweep", "replay", "undo"])
def test_not_a_run_is_one_line(verb, tmp_path):
    done = run(verb, tmp_path)
    assert done.exit_code == 2
    assert "not a run's folder" in done.output
    assert "Traceback" not in done.output


@pytest.mark.parametrize("name", ["summary.json", "shift.json", "decision.json"])
@pytest.mark.parametrize("content", ["", "[]", '{"kept against offered": {"age": 3}}'])
def test_broken_files_are_one_line(decided, name, content):
    folder = decided()
    (folder / "pseudo" / name).write_text(content)
    done = run("show", folder)
    if (name, content[:2]) == ("summary.json", '{"'):
        assert done.exit_code == 0  # an object without warnings
        return
    assert done.exit_code == 2
    assert name in done.output


def test_a_run_without_proxy_labels(tmp_path):
    (tmp_path / "run.json").write_text(json.dumps({"complete": True}))
    assert "no proxy labels were decided" in run("show", tmp_path).output
