"""The estimate holds what a real sweep writes; what does not fit is refused before it starts."""

from __future__ import annotations

import shutil
from collections import namedtuple

import pytest

from training.checkpoint import Checkpoints
from training.launch import launch, prepare
from training.overrides import override
from training.recipes import RECIPES, recipe
from training.tracking.sync import sync
from tuning import disk
from tuning.disk import Need, check, checkpoint, of_run, of_sweep, used
from tuning.sweep import Sweep


@pytest.fixture
def sweep(changes):
    return Sweep.of("ospenscreen:smoke", [*changes, "track.wandb=offline"])


def size_of(*folders):
    files = [p for f in folders for p in f.rglob("*") if p.is_file() and not p.is_symlink()]
    return sum(p.stat().st_size for p in files)


def test_what_a_real_trial_writes_is_what_was_foretold(sweep, monkeypatch):
    monkeypatch.setattr(Checkpoints, "remove", Checkpoints.join)  # keep them, to be measured
    config = sweep.config([])
    need = of_run(config)
    run = prepare(config)
    launch(config, run)
    sync(run, None, "offline", lambda _: None)  # as when a trial has ended
    weights = size_of(*run.glob("*/weights"))
    assert weights == pytest.approx(need.weights, rel=0.05)
    for stage in ("teacher", "student"):
        (step,) = (run / stage / "checkpoints").iterdir()
        foretold = checkpoint(config.model, getattr(config, stage))
        assert size_of(step) == pytest.approx(foretold, rel=0.05)
        shutil.rmtree(run / stage / "checkpoints")
    logits = config.paths.runs / "logits"
    records = size_of(run, logits) - weights
    assert need.records / 4 < records <= need.records
    assert used(run) == size_of(run)


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd"])
def test_a_checkpoint_of_each_optimizer(sweep, optimizer, monkeypatch):
    monkeypatch.setattr(Checkpoints, "remove", Checkpoints.join)
    config = override(sweep.config([]), [f"student.optimizer={optimizer}", "track.wandb=disabled"])
    run = prepare(config)
    launch(config, run)
    (step,) = (run / "student" / "checkpoints").iterdir()
    assert size_of(step) == pytest.approx(checkpoint(config.model, config.student), rel=0.05)


def test_the_papers_network_by_hand():
    config = recipe("ospenscreen")
    # ConvNeXt-small of one channel and two logits, and 4 bytes a weight
    weights = (49_452_385 + 769) * 4
    assert disk._state(config.model) == pytest.approx(weights, rel=0.01)
    # model, average, best, and AdamW's two moments
    assert checkpoint(config.model, config.student) == pytest.approx(5 * weights, rel=0.01)


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_can_be_laid_out(name):
    config = recipe(name)
    assert disk._state(config.model) > 1000


def test_the_sum_is_of_kept_working_and_recorded():
    need = Need(weights=100, working=1000, records=1, shared=7)
    assert need.total(trials=40, keep=3, concurrent=2) == 7 + 40 + 300 + 2000
    assert need.total(trials=1, keep=3, concurrent=8) == 7 + 1 + 100 + 1000


def test_files_with_two_names_count_once(tmp_path):
    (tmp_path / "a").write_bytes(b"x" * 100)
    (tmp_path / "b").hardlink_to(tmp_path / "a")
    (tmp_path / "c").symlink_to(tmp_path / "a")
    assert used(tmp_path) == 100
    assert used(tmp_path / "nowhere") == 0


def test_the_estimate_is_said_and_refused_where_it_does_not_fit(sweep, monkeypatch, capsys):
    check(sweep, 12)
    said = capsys.readouterr().out
    assert "disk: 12 trials take up to " in said
    assert "for each of the best 3" in said
    assert "are free" in said
    whole = of_sweep(sweep).total(12, sweep.keep, sweep.concurrent)
    usage = namedtuple("usage", "total used free")
    free = whole - used(sweep.folder) - 1
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda _: usage(10**12, 0, free))
    with pytest.raises(ValueError, match=r"make room.*paths\.runs.*--keep 1"):
        check(sweep, 12)
    check(sweep, 11)
    # What is there already need not be written again.
    sweep.folder.mkdir(parents=True, exist_ok=True)
    (sweep.folder / "there").write_bytes(b"x" * 10)
    check(sweep, 12)
