"""A run's folder is one command's at a time, and says what it was made with."""

from __future__ import annotations

import json
import shutil

import pandas as pd
import pytest
from typer.testing import CliRunner

from data_sharding.schema import sha256_file
from tests.conftest import pack_pictures
from tests.training.conftest import as_overrides
from training.__main__ import app
from training.folder import complete, held, prepare
from training.launch import launch, start


def contents(folder):
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_second_command_writes_nothing(tiny):
    other = tiny("compute.accumulate=7", "track.project=other")
    with held(tiny()) as folder:
        (folder / "work").write_text("of an hour")
        before = contents(folder)
        for second in (lambda: prepare(other), lambda: prepare(other, True), lambda: start(other)):
            with pytest.raises(ValueError, match="another command is at work"):
                second()
        assert contents(folder) == before
    assert prepare(other) == folder
    assert "accumulate: 7" in (folder / "config.yaml").read_text()


def test_fresh_leaves_nothing_of_before(tiny):
    folder = prepare(tiny())
    calm = contents(folder)
    (folder / "teacher" / "weights").mkdir(parents=True)
    (folder / "teacher" / "metrics.jsonl").write_text("{}")
    (folder / "link").symlink_to("teacher")
    assert prepare(tiny(), fresh=True) == folder
    assert contents(folder) == calm
    assert not (folder / "teacher").exists()
    assert not (folder / "link").is_symlink()


def test_a_place_for_runs_that_is_none_is_an_error_with_a_fix(tiny, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"paths\.runs=.*cannot be made there \(Not a directory\)"):
        prepare(tiny(f"paths.runs={tmp_path}/file/runs"))
    said = CliRunner().invoke(
        app, ["ospenscreen:smoke", *as_overrides(tiny()), f"paths.runs={tmp_path}/file/runs"]
    )
    assert (said.exit_code, said.output[:18]) == (2, "error: paths.runs=")
    latest = tmp_path / "runs" / "latest"
    latest.mkdir(parents=True)
    with pytest.raises(ValueError, match=r"runs/latest: a folder.*call it something else"):
        prepare(tiny())
    latest.rename(tmp_path / "runs" / "mine")
    folder = prepare(tiny())
    assert latest.resolve() == folder.resolve()
    assert not list(latest.parent.glob(".latest.*"))


def test_what_is_learnt_from_and_what_is_only_predicted_are_two_runs(tiny, packs, tmp_path):
    other = pack_pictures(tmp_path / "nih", "nih", "public", {"public": 6}, seed=5)
    a, b = packs["public"], other
    runs = {
        prepare(tiny(f"paths.public={learnt or 'null'}", f"paths.unlabelled={predicted}"))
        for learnt, predicted in [(a, f"[{b}]"), (b, f"[{a}]"), (a, "[]"), (None, f"[{a}]")]
    }
    assert len(runs) == 4


def test_what_the_file_system_refuses_is_one_line(tiny):
    folder = prepare(tiny())
    (folder / ".lock").unlink()
    (folder / ".lock").mkdir()
    said = CliRunner().invoke(app, ["ospenscreen:smoke", *as_overrides(tiny())])
    assert said.exit_code == 2
    assert said.output == f"error: [Errno 21] Is a directory: '{folder / '.lock'}'\n"


def test_other_versions_in_later_launches_are_recorded(tiny):
    folder = prepare(tiny())
    path = folder / "run.json"
    facts = json.loads(path.read_text())
    assert "resumed_with" not in facts
    now = facts["versions"]["torch"]
    facts["versions"]["torch"] = "1.0"
    path.write_text(json.dumps(facts))
    for _ in range(2):
        prepare(tiny())
        said = json.loads(path.read_text())
        assert said["versions"]["torch"] == "1.0"
        assert said["resumed_with"] == [{"torch": now}]


@pytest.fixture
def finished(tiny, packs, tmp_path):
    """A run that is complete, its config, and its external dataset, which is a copy."""
    place = tmp_path / "there"
    shutil.copytree(packs["external"], place)
    short = ("teacher.epochs=1", "student.epochs=1", "pseudo.enabled=false")
    config = tiny(*short, f"paths.external=[{place}]")
    folder, done = start(config)
    assert not done
    assert start(config) == (folder, True)
    return config, folder, place


def test_a_run_without_all_its_predictions_is_not_complete(finished):
    config, folder, _ = finished
    paths = sorted(folder.glob("cohorts/*/predictions.parquet"))
    names = [p.parent.name for p in paths]
    assert names == ["here-test", "here-tune", "there-external"]
    hashes = [sha256_file(p) for p in paths]
    for path in paths:
        path.unlink()
        assert not complete(folder)
        assert start(config) == (folder, False)
        assert complete(folder)
    assert [sha256_file(p) for p in paths] == hashes


def test_predictions_of_other_weights_are_made_again(finished):
    config, folder, _ = finished
    path = folder / "cohorts" / "there-external" / "predictions.parquet"
    before = path.stat().st_ino
    launch(config, folder)
    assert path.stat().st_ino == before, "the same weights: kept"
    shutil.rmtree(folder / "student" / "weights")
    shutil.copytree(folder / "teacher" / "weights", folder / "student" / "weights")
    launch(config, folder)
    frame = pd.read_parquet(path)
    student, teacher = (frame[frame["model"] == name] for name in ("student", "teacher"))
    for what in ("logit", "probability", "threshold"):
        assert list(student[what]) == list(teacher[what])
    path.write_bytes(path.read_bytes()[:100])
    launch(config, folder)
    assert pd.read_parquet(path)["model"].nunique() == 2


def test_a_dataset_packed_again_meanwhile_is_refused(finished, tmp_path):
    config, folder, place = finished
    shutil.rmtree(folder / "cohorts")
    shutil.rmtree(place)
    again = pack_pictures(tmp_path / "again", "there", "external", {"external": 12}, seed=9)
    shutil.copytree(again, place)
    with pytest.raises(ValueError, match="there has been packed again since this run began"):
        launch(config, folder)
    assert not (folder / "cohorts").exists()
