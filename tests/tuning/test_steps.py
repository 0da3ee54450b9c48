"""Global steps: of what was done, from the records; of a whole run, from the settings."""

from __future__ import annotations

import json

import pytest

from training.launch import start
from training.overrides import override
from tuning.steps import planned, rungs_of, scores
from tuning.sweep import Sweep


def record(folder, stage, scores_by_step):
    (folder / stage).mkdir(parents=True)
    lines = [{"step": s, "epoch": n, "tune/auroc": v} for n, (s, v) in enumerate(scores_by_step)]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / stage / "metrics.jsonl").write_text(text + json.dumps({"step": 9, "summary": {}}))


def test_a_teachers_steps_come_before_its_students(changes, tmp_path):
    config = Sweep.of("ospenscreen:smoke", [*changes, "pseudo.rounds=2"]).base
    assert list(config.trainings) == ["teacher", "round-1/student", "student"]
    assert scores(config, tmp_path) == {}
    record(tmp_path, "teacher", [(3, 0.5), (6, 0.6)])
    assert scores(config, tmp_path) == {3: 0.5, 6: 0.6}
    record(tmp_path, "round-1/student", [(4, None), (8, 0.7)])
    record(tmp_path, "student", [(4, 0.8)])
    assert scores(config, tmp_path) == {3: 0.5, 6: 0.6, 14: 0.7, 18: 0.8}
    torn = tmp_path / "student" / "metrics.jsonl"
    torn.write_text('{"step": 4, "tune/auroc": 0.8}\n{"step": 8, "tune/au')
    assert scores(config, tmp_path) == {3: 0.5, 6: 0.6, 14: 0.7, 18: 0.8}


@pytest.mark.parametrize("more", [["pseudo.enabled=false"], ["student.proxy_share=0"]])
def test_what_is_planned_is_what_is_done(changes, more):
    config = override(
        Sweep.of("ospenscreen:smoke", changes).base, [*more, "teacher.epochs=2", "predict=tune"]
    )
    folder, _ = start(config)
    assert max(scores(config, folder)) == sum(planned(config))


def test_rungs_begin_where_trials_begin_to_differ(changes):
    sweep = Sweep.of(
        "ospenscreen:smoke", [*changes, "teacher.epochs=10", "student.epochs=18", "seed=1"]
    )
    teacher, student = planned(sweep.config([]))
    assert (teacher, student) == (30, 72)  # 45 pictures by 16 and, with proxies beside them, by 12
    assert rungs_of(sweep, ["teacher.lr", "student.lr"])[-1] == (teacher + student) // 3
    after = rungs_of(sweep, ["student.lr", "pseudo.p_lbm"])
    assert after[-1] == teacher + student // 3
    assert min(after) > teacher
    short = Sweep.of("ospenscreen:smoke", [*changes, "teacher.batch=45", "student.batch=60"])
    assert rungs_of(short, ["student.lr"]) == ()
