"""The whole pipeline in-process, on real shards: resume, worlds, what is learnt."""

from __future__ import annotations

import json
import subprocess

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from data_sharding.schema import check_predictions, sha256_file
from tests.training.processes import command, torchrun
from training.average import Average
from training.checkpoint import Checkpoints
from training.interrupt import Interrupted
from training.launch import complete, launch, prepare


class Killed(Exception):
    pass


def weights(folder, name="student"):
    return sha256_file(folder / name / "weights" / "model.safetensors")


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    return tmp_path_factory.mktemp("calm") / "runs"


@pytest.fixture
def calm(tiny, once):
    """A run that nothing disturbs, made by the first who asks; to be read only."""
    config = tiny(f"paths.runs={once}")
    folder = prepare(config)
    if not complete(folder):
        launch(config, folder)
    return folder


def test_the_line_from_shards_to_predictions(calm, capsys):
    assert complete(calm)
    decided = pd.read_parquet(calm / "pseudo" / "pseudo_labels.parquet")
    assert len(decided) == 30
    for cohort, n in [("here-tune", 20), ("here-test", 20), ("there-external", 21)]:
        frame = check_predictions(
            pd.read_parquet(calm / "cohorts" / cohort / "predictions.parquet")
        )
        assert frame.groupby("model").size().to_dict() == {"student": n, "teacher": n}
    records = [json.loads(x) for x in (calm / "teacher" / "metrics.jsonl").read_text().splitlines()]
    assert [r["step"] for r in records] == [3, 6, 9]  # 45 samples in batches of 16
    assert records[-1]["train/loss"] < records[0]["train/loss"]


def records(folder, name="teacher"):
    """metrics.jsonl without what a clock says."""
    lines = (folder / name / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(x).items() if not k.startswith("perf/")} for x in lines]


@pytest.mark.parametrize("kill_at", [1, 3, 5, 9, 11])
def test_killed_at_any_step_the_weights_come_out_the_same(calm, tiny, kill_at, monkeypatch):
    """Steps 1 to 9 are the teacher's, three an epoch; a checkpoint is written after each."""
    config = tiny("compute.checkpoint_steps=1")
    folder = prepare(config)
    real_update = Average.update
    steps = 0

    def dies(average, step):
        nonlocal steps
        steps += 1
        if steps == kill_at:
            raise Killed
        return real_update(average, step)

    monkeypatch.setattr(Average, "update", dies)
    with pytest.raises(Killed):
        launch(config, folder)
    monkeypatch.setattr(Average, "update", real_update)
    launch(config, folder)
    for name in ("teacher", "student"):
        assert weights(folder, name) == weights(calm, name)
        for ours, theirs in zip(records(folder, name), records(calm, name), strict=True):
            assert ours == pytest.approx(theirs, rel=1e-6)
    again = prepare(config)
    assert again == folder
    assert complete(again)


@pytest.fixture
def two_threads():
    """As on a machine of several cores: all other tests run in one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_two_fresh_runs_give_identical_predictions(tiny, two_threads):
    small = ("teacher.epochs=1", "student.epochs=1", "pseudo.enabled=false", "paths.external=[]")
    config = tiny(*small)
    folder = prepare(config)
    launch(config, folder)
    path = folder / "cohorts" / "here-test" / "predictions.parquet"
    before = sha256_file(path)
    assert prepare(config, fresh=True) == folder
    assert not path.exists()
    launch(config, folder)
    assert sha256_file(path) == before


def test_two_processes_learn_what_one_learns(calm, tiny):
    """torchrun with DDP and gloo: the same global batches, so the same weights up to rounding."""
    config = tiny()
    words = command(config, *torchrun(2))
    done = subprocess.run(words, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    folder = prepare(config)
    assert complete(folder)
    a = load_file(calm / "teacher" / "weights" / "model.safetensors")
    b = load_file(folder / "teacher" / "weights" / "model.safetensors")
    for name in a:
        torch.testing.assert_close(a[name], b[name], rtol=1e-3, atol=1e-4)
    ours, theirs = (
        pd.read_parquet(f / "cohorts/there-external/predictions.parquet") for f in (folder, calm)
    )
    np.testing.assert_allclose(ours["logit"], theirs["logit"], atol=2e-2)


def test_without_proxies_and_without_distillation(tiny):
    config = tiny("pseudo.enabled=false", "student.alpha=0", "teacher.epochs=1", "student.epochs=1")
    folder = prepare(config)
    launch(config, folder)
    assert complete(folder)
    assert not (folder / "pseudo").exists()
    record = json.loads((folder / "student" / "metrics.jsonl").read_text().splitlines()[0])
    assert "train/kl" not in record


def test_thresholds_nobody_reaches_leave_a_student_of_labels_only(tiny):
    config = tiny("pseudo.p_normal=1", "pseudo.p_lbm=1", "teacher.epochs=1", "student.epochs=1")
    folder = prepare(config)
    launch(config, folder)
    summary = json.loads((folder / "pseudo" / "summary.json").read_text())
    assert summary["counts"] == {"normal": 0, "low bone mass": 0, "dropped": 30}
    assert summary["prevalence"] is None
    assert complete(folder)


def test_a_loss_that_is_not_finite_stops_the_run_and_the_best_is_kept(tiny):
    config = tiny("teacher.lr=1e18", "teacher.clip=1e30", "teacher.warmup_epochs=0")
    folder = prepare(config)
    with pytest.raises(ValueError, match="not finite"):
        launch(config, folder)
    assert not (folder / "teacher" / "weights").exists()


def test_loader_workers_change_nothing(calm, tiny):
    config = tiny("compute.loader_workers=2")
    folder = prepare(config)
    launch(config, folder)
    assert weights(folder) == weights(calm)


def test_an_old_position_is_cut_from_the_records(tmp_path):
    from training.tracking import JsonlTracker

    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 3, "epoch": 1}\n{"step": 6, "epoch": 2}\n{"step": 9, "ep')
    JsonlTracker(path, "teacher", echo=lambda _: None).resume(3)
    assert path.read_text() == '{"step": 3, "epoch": 1}\n'
    assert Checkpoints(tmp_path).newest() is None


def test_rounds_teach_each_other(tiny):
    """Noisy student: each round's student labels for the next one."""
    config = tiny("pseudo.rounds=2", "student.epochs=1", "teacher.epochs=1")
    folder = prepare(config)
    launch(config, folder)
    assert complete(folder)
    first, last = (
        json.loads((folder / place / "pseudo" / "decision.json").read_text())["teacher_sha256"]
        for place in ("round-1", ".")
    )
    assert first != last
    assert weights(folder, "round-1/student") != weights(folder)


@pytest.mark.parametrize(
    "changes",
    [
        ("student.teacher=ema",),
        ("student.teacher_logits=online", "student.features=0.5"),
        ("compute.accumulate=3", "compute.channels_last=true", "precision=bf16"),
        ("data.augment_on=device", "pseudo.target_precision_lbm=0.6"),
    ],
    ids=["mean-teacher", "features", "micro-batches", "on-device"],
)
def test_the_variants_run_to_the_end(tiny, changes):
    config = tiny("student.epochs=1", "teacher.epochs=1", *changes)
    folder = prepare(config)
    launch(config, folder)
    assert complete(folder)


def test_micro_batches_change_nothing_but_rounding(calm, tiny):
    config = tiny("compute.accumulate=4")
    folder = prepare(config)
    launch(config, folder)
    ours, theirs = (load_file(f / "student/weights/model.safetensors") for f in (folder, calm))
    for name in theirs:
        torch.testing.assert_close(ours[name], theirs[name], rtol=1e-3, atol=1e-4)


def test_a_wish_to_stop_leaves_a_checkpoint_and_the_same_bytes_after(calm, tiny):
    from training.stages import run
    from training.world import alone

    config = tiny()
    folder = prepare(config)
    stops = 0
    for _ in range(200):  # each launch is let live for one question more than it takes to begin
        asked = 0

        def stop() -> bool:
            nonlocal asked
            asked += 1
            return asked > 2

        try:
            run(config, folder, alone(), stop)
            break
        except Interrupted:
            stops += 1
    assert stops > 3
    assert complete(folder)
    assert weights(folder) == weights(calm)
