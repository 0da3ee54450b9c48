from __future__ import annotations

import json
import shutil
from datetime import date

import numpy as np
import pandas as pd
import pytest

from data_sharding.reader import ShardDataset
from data_sharding.schema import sha256_file
from tests.training.pseudo.conftest import DAY, Looks
from training.config import Pseudo
from training.pseudo import Decision, Said, read_decided, record, scored
from training.pseudo.replay import replay
from training.pseudo.undo import rounds, to_undo, undo
from training.world import alone


def test_a_round_in_its_folder(decided, public):
    folder = decided() / "pseudo"
    summary = json.loads((folder / "summary.json").read_text())
    rows = read_decided(folder, public.index)
    assert summary["n"] == len(public) == len(rows)
    counts = rows["decision"].value_counts().to_dict()
    assert summary["counts"] == counts | {"dropped": summary["counts"]["dropped"]}
    assert summary["counts"]["low bone mass"] > 5
    assert summary["ledger_sha256"] == sha256_file(folder / "pseudo_labels.parquet")
    assert summary["date"] == DAY.isoformat() == str(rows["date"].iloc[0])
    assert any("further pictures" in w for w in summary["warnings"])  # two a patient in `packs`
    assert [r["p_lbm"] for r in json.loads((folder / "sweep.json").read_text())] == [
        0.65, 0.75, 0.85
    ]  # fmt: skip
    assert "kept against labelled" in json.loads((folder / "shift.json").read_text())
    assert Decision.load(folder).thresholds.tune_patients == 10


def test_decided_twice_the_bytes_and_the_date_stay(decided):
    run = decided()
    before = {p.name: p.read_bytes() for p in (run / "pseudo").glob("*.*")}
    decided(day=date(2027, 1, 1))
    assert {p.name: p.read_bytes() for p in (run / "pseudo").glob("*.*")} == before


def test_other_thresholds_are_another_decision_of_another_date(decided):
    run = decided()
    decided(Pseudo(p_normal=0.9), day=date(2027, 1, 1))
    assert Decision.load(run / "pseudo").date == date(2027, 1, 1)


def test_nobody_is_sure_enough_and_the_summary_says_why(decided, public):
    run = decided(Pseudo(target_precision_normal=0.95, target_precision_lbm=0.95))
    summary = json.loads((run / "pseudo/summary.json").read_text())
    assert summary["counts"]["dropped"] == len(public)
    assert summary["prevalence"] is None
    assert sum("no proxy of" in w and "10 patients in all" in w for w in summary["warnings"]) == 2
    assert replay(run / "pseudo", public).difference is None


def test_a_prevalence_unlike_the_tune_splits_is_warned_of(packs, public, tune, tmp_path):
    folder, teachers = tmp_path / "round", Looks()
    tuned = Said(tune, scored(teachers, tune, folder / "scores", alone()))
    mostly = Said(public, np.full(len(public), -6.0))
    labelled = ShardDataset(packs["internal"], "train").index
    calibration = {"temperature": 1.0, "reason": "the tune split has one class only"}
    found = record(folder, Pseudo(), teachers.hash, calibration, mostly, tuned, labelled, DAY)
    assert found["estimated_prevalence"] < 0.05
    assert any("50% low bone mass are assumed" in w for w in found["warnings"])
    assert any("not calibrated" in w for w in found["warnings"])


def test_a_ledger_of_other_pictures_or_of_other_bytes_is_refused(decided, public):
    folder = decided() / "pseudo"
    with pytest.raises(ValueError, match="other pictures"):
        read_decided(folder, public.index.iloc[::-1])
    path = folder / "pseudo_labels.parquet"
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(ValueError, match="sha256 differs"):
        read_decided(folder, public.index)


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"rule": "x"}', "\x00"])
def test_a_decision_that_is_none(decided, public, content):
    folder = decided() / "pseudo"
    (folder / "decision.json").write_text(content)
    with pytest.raises(ValueError, match=r"decision\.json: not a decision") as e:
        read_decided(folder, public.index)
    assert "\n" not in str(e.value)
    (folder / "decision.json").unlink()
    with pytest.raises(ValueError, match="no decision was made"):
        replay(folder, public)


def test_replay_gives_the_same_bytes_from_scores_and_thresholds(decided, public):
    folder = decided() / "pseudo"
    found = replay(folder, public)
    assert found.difference is None
    assert not found.undone
    assert found.sha256 == sha256_file(folder / "pseudo_labels.parquet")


def test_replay_names_the_first_difference(decided, public):
    folder = decided() / "pseudo"
    path = folder / "pseudo_labels.parquet"
    rows = pd.read_parquet(path)
    rows.loc[7, "age"] = 99.0
    rows.to_parquet(path)
    words = replay(folder, public).difference
    assert words is not None
    assert "row 7, age: 99.0 against" in words
    path.write_bytes(b"no parquet")
    assert "not a ledger" in str(replay(folder, public).difference)


def test_replay_refuses_other_data_and_missing_scores(decided, public, packs):
    folder = decided() / "pseudo"
    other = ShardDataset(packs["external"])
    with pytest.raises(ValueError, match="not the set that was labelled"):
        replay(folder, other)
    for path in (folder / "scores").iterdir():
        path.unlink()
    with pytest.raises(ValueError, match="2 of 2 shards of open are not scored"):
        replay(folder, public)


def test_undo_takes_back_what_was_learnt_and_replay_still_agrees(decided, public):
    run = decided()
    folder = run / "pseudo"
    before = (folder / "pseudo_labels.parquet").read_bytes()
    listed = to_undo(run)
    assert (folder / "pseudo_labels.parquet").exists()
    assert undo(run) == listed
    left = {p.relative_to(run).as_posix() for p in run.rglob("*") if p.is_file()} - {".lock"}
    scores = {x for x in left if x.startswith("pseudo/scores/")}
    assert len(scores) == 4  # two shards of the public set, two of the tune split
    assert left - scores == {
        "run.json", "config.yaml", "teacher/weights/file", "pseudo/decision.json"
    }  # fmt: skip
    facts = json.loads((run / "run.json").read_text())
    assert facts == {"complete": False, "timings": {"teacher": 3.0}}
    found = replay(folder, public)
    assert found.undone
    assert found.difference is None
    assert not (run / "cohorts").exists()
    decided(day=date(2030, 1, 1))  # the same settings again, years later
    assert (folder / "pseudo_labels.parquet").read_bytes() == before


def test_undo_takes_back_every_round_and_keeps_what_each_followed_from(decided):
    run = decided()
    for n in (1, 2, 10):
        shutil.copytree(run / "pseudo", run / f"round-{n}" / "pseudo")
        shutil.copytree(run / "student", run / f"round-{n}" / "student")
    order = [p.relative_to(run).as_posix() for p in rounds(run)]
    assert order == ["round-1/pseudo", "round-2/pseudo", "round-10/pseudo", "pseudo"]
    undo(run)
    assert not list(run.glob("**/student"))
    for folder in rounds(run):
        assert sorted(p.name for p in folder.iterdir()) == ["decision.json", "scores"]


def test_undo_of_everything_asks_the_teacher_anew(decided):
    run = decided()
    undo(run, everything=True)
    assert list((run / "pseudo").iterdir()) == []
    assert (run / "teacher/weights/file").exists()
    assert undo(run) == []


def test_undo_without_proxy_labels_touches_nothing(decided, tmp_path):
    run = decided()
    undo(run, everything=True)
    (run / "student").mkdir()
    (run / "run.json").write_text('{"complete": true}')
    assert undo(run) == []
    assert (run / "student").exists()
    assert json.loads((run / "run.json").read_text()) == {"complete": True}
    with pytest.raises(ValueError, match="not a run"):
        undo(tmp_path)


def test_undo_leaves_what_a_link_points_to(decided, tmp_path):
    run = decided()
    elsewhere = tmp_path / "precious"
    elsewhere.mkdir()
    (elsewhere / "file").write_text("x")
    (run / "report" / "file").unlink()
    (run / "report").rmdir()
    (run / "report").symlink_to(elsewhere)
    undo(run)
    assert (elsewhere / "file").exists()
    assert not (run / "report").is_symlink()
