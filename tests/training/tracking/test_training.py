"""The whole pipeline, five times cut off: one W&B run for each stage, with every step once."""

from __future__ import annotations

import json

import pytest

from tests.training.tracking.logs import logged
from training.average import Average
from training.folder import prepare
from training.launch import launch


class CutOff(Exception):
    pass


def test_five_restarts_of_a_training_leave_one_run_a_stage(tiny, monkeypatch):
    config = tiny(
        *("track.wandb=offline", "compute.checkpoint_steps=2"),
        *("teacher.epochs=2", "student.epochs=1"),
    )
    folder = prepare(config)
    real_update, left = Average.update, 0

    def dies(average, step):
        nonlocal left
        left -= 1
        if not left:
            raise CutOff
        return real_update(average, step)

    monkeypatch.setattr(Average, "update", dies)
    cut = 0
    for lives in (2, 4, 3, 4, 2, 10**9):  # the step of this attempt that is its last
        left = lives
        try:
            launch(config, folder)
        except CutOff:
            cut += 1
    assert cut == 5
    found = [logged(p) for p in sorted(folder.glob("wandb/offline-run-*/*.wandb"))]
    by_type = {x.run.job_type: x for x in found}
    assert len(by_type) == len(found), "a stage has one run"
    assert {"teacher", "student", "pseudo"} <= set(by_type)
    assert {x.run.run_group for x in found} == {folder.name}
    for stage in ("teacher", "student"):
        lines = (folder / stage / "metrics.jsonl").read_text().splitlines()
        written = [json.loads(x) for x in lines]
        steps_of = [r["step"] for r in written]
        assert steps_of == sorted(set(steps_of))
        history = by_type[stage].history
        assert [h["_step"] for h in history] == steps_of
        for h, r in zip(history, written, strict=True):
            assert {k: v for k, v in h.items() if k[0] != "_"} == pytest.approx(
                {k: v for k, v in r.items() if k != "step"}
            )
        assert {"train/loss", "train/lr", "train/grad_norm_max", "perf/wait_share"} <= set(h)
    assert by_type["pseudo"].summary["n"] == 30
