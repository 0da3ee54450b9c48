"""What the pipeline does around its trainings."""

from __future__ import annotations

import json
import shutil

import pytest

from tests.conftest import pack_pictures
from training import frozen, pace, stages
from training.folder import prepare
from training.interrupt import Interrupted
from training.launch import complete, launch
from training.stages import student_seed
from training.tracking.fed import Offline
from training.world import alone

SHORT = ("teacher.epochs=1", "student.epochs=1")


def test_no_two_runs_share_a_seed():
    """Teachers and students of three rounds, of a hundred runs that differ in `seed` only."""
    places = ("round-1/", "round-2/", "")
    seeds = [s for seed in range(100) for s in (2 * seed, *(student_seed(seed, p) for p in places))]
    assert len(set(seeds)) == 400
    assert 0 <= min(seeds) <= max(seeds) < 2**32
    assert [student_seed(seed, "") for seed in (0, 7)] == [1, 15], "as runs of one round had it"
    assert student_seed(0, "round-1/") == 1570434520, "a run may go on with a later version"


def test_without_a_share_of_the_batch_there_is_a_ledger_and_no_logits(tiny):
    some, none = tiny(*SHORT), tiny(*SHORT, "student.proxy_share=0")
    kept = []
    for config in (none, some):
        folder = prepare(config)
        launch(config, folder)
        summary = json.loads((folder / "pseudo" / "summary.json").read_text())
        assert summary["counts"]["normal"] > 0
        kept.append(len(list((folder.parent / "logits").iterdir())))
    assert kept == [1, 2], "the labelled pictures' of both, which have one teacher; the proxies'"


@pytest.mark.parametrize("changes", [("paths.public=null",), ("pseudo.enabled=false",), ()])
def test_proxies_that_cannot_be_are_said(tiny, capsys, changes):
    config = tiny(*SHORT, *changes)
    launch(config, prepare(config))
    said = [x for x in capsys.readouterr().out.splitlines() if "paths.public" in x]
    assert len(said) == (changes == ("paths.public=null",))
    assert all("pseudo.enabled=false" in line for line in said)


@pytest.mark.parametrize("role", ["internal", "public"])
def test_a_dataset_packed_again_in_between_is_refused(tiny, tmp_path, packs, role):
    place = tmp_path / packs[role].name
    shutil.copytree(packs[role], place)
    config = tiny(*SHORT, f"paths.{role}={place}")
    folder = prepare(config)
    shutil.rmtree(place)
    splits = {"internal": {"train": 40, "tune": 20, "test": 20}, "public": {"public": 20}}[role]
    pack_pictures(place, place.name, role, splits)
    with pytest.raises(ValueError, match=f"{place}: {place.name} has been packed again"):
        launch(config, folder)
    assert (folder / "teacher").exists() == (role == "public")
    assert not (folder / "pseudo").exists()


def test_asked_to_stop_while_logits_are_made(tiny, monkeypatch):
    monkeypatch.setattr(frozen, "PIECE", 8)
    real, asked = frozen._ask, 0

    def ask(*arguments):
        nonlocal asked
        asked += 1
        return real(*arguments)

    monkeypatch.setattr(frozen, "_ask", ask)
    config = tiny(*SHORT, "pseudo.enabled=false")
    folder = prepare(config)
    with pytest.raises(Interrupted):
        stages.run(config, folder, alone(), lambda: asked > 0)
    assert asked == 1
    assert not (folder / "student").exists()
    launch(config, folder)
    assert complete(folder)
    assert asked == 6


def test_a_stage_that_goes_on_later_does_not_wait_for_wandb(tiny, monkeypatch):
    monkeypatch.setattr(pace, "ASK_EVERY_S", 0)
    config = tiny(*SHORT, "pseudo.enabled=false", "track.wandb=offline")
    folder = prepare(config)
    closed, real = [], Offline.close

    def close(tracker):
        closed.append(tracker.identity.stage)
        real(tracker)

    monkeypatch.setattr(Offline, "close", close)
    asked = 0

    def stop():
        nonlocal asked
        asked += 1
        return asked > 2  # in the teacher's first epoch

    with pytest.raises(Interrupted, match="steps, a checkpoint"):
        stages.run(config, folder, alone(), stop)
    assert closed == []
    assert not (folder / "wandb").exists()
    launch(config, folder)
    assert closed == ["teacher", "student", "eval"]
    lines = (folder / "teacher" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(x)["epoch"] for x in lines if "epoch" in json.loads(x)] == [1]
    for stage in ("teacher", "student"):
        assert len(list((folder / "wandb").glob(f"offline-run-*-{stage}"))) == 1
