"""A real trial of a real sweep, tracked: what the sweep logged and what its evaluation does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from eval.__main__ import app
from tests.eval.dashboards.reading import evaluation_of, offline
from tests.eval.dashboards.test_workspace import named, panels

ROOT = Path(__file__).resolve().parents[3]
CHANGES = (
    *("paths.external=[]", "input.size=48", "teacher.epochs=1", "student.epochs=1"),
    *("teacher.batch=16", "student.batch=16", "track.wandb=offline"),
)


@pytest.fixture(scope="module")
def sweep(packs, tmp_path_factory) -> Path:
    """The folder of a sweep of two trials, run as people run it."""
    runs = tmp_path_factory.mktemp("sweeps")
    places = (f"paths.internal={packs['internal']}", f"paths.public={packs['public']}")
    words = ("ospenscreen:smoke", *places, f"paths.runs={runs}", *CHANGES, "--trials", "2")
    kept = {k: v for k, v in os.environ.items() if not k.startswith("WANDB_")}
    done = subprocess.run(
        [sys.executable, "-m", "tuning", *words], capture_output=True, text=True, cwd=ROOT, env=kept
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (folder,) = [p for p in (runs / "sweeps").iterdir() if p.is_dir()]
    for path in folder.glob("*/cohorts/*/predictions.parquet"):
        frame = pd.read_parquet(path)  # the drawn patients have two pictures, one of each label
        frame.assign(patient="of " + frame["key"]).to_parquet(path)
    return folder


def test_a_sweep_is_a_group_with_an_evaluation_for_each_trial(sweep, tmp_path):
    done = CliRunner().invoke(app, ["track", str(sweep), "--no-explain"])
    assert done.exit_code == 0, done.output
    trials = [p.parent for p in sweep.glob("*/cohorts") if not p.parent.is_symlink()]
    assert len(trials) == 2
    for trial in trials:
        kinds = sorted(o.log.run.job_type for o in offline(trial))
        assert kinds == ["evaluation", "run"]
        assert {o.log.run.run_group for o in offline(trial)} == {sweep.name}
        found = evaluation_of(trial)
        (cohort,) = (trial / "cohorts").iterdir()
        assert cohort.name.endswith("-tune"), "a trial sees nothing else"
        metrics = json.loads((cohort / "metrics.json").read_text())
        (student,) = [m for m in metrics["models"] if m["model"] == "student"]
        key = f"eval/{cohort.name}/auroc"
        e = student["overall"]["auroc"]
        got = [found.numbers.get(f"{key}{end}") for end in ("", "_lo", "_hi")]
        assert got == pytest.approx([e["value"], e["low"], e["high"]])
        assert f"eval/{cohort.name}/teacher/auroc" in found.numbers
        assert not [k for k in found.numbers if k.startswith("drift/")]
        (whole,) = [o.log for o in offline(trial) if o.log.run.job_type == "run"]
        assert [h["training"] for h in whole.history] == [1, 2]  # the teacher's, the student's
        assert all({"train/loss", "tune/auroc"} <= set(h) for h in whole.history)
        assert {"pseudo/n", "trial/objective/auroc_low", "best/tune/auroc"} <= set(whole.summary)

    done = CliRunner().invoke(app, ["dashboard", str(sweep), "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    logs = [o for trial in trials for o in offline(trial)]
    keys = {k for o in logs for k in (o.keys | set(o.log.summary))}
    keys |= {k for o in logs for h in o.log.history for k in h}
    spec = json.loads((tmp_path / "out" / "workspace.json").read_text())
    found = list(panels(spec))
    assert all(named(p)[0] <= keys for p in found)
    asked = {k for p in found for k in named(p)[0]}
    assert "trial/objective/auroc_low" in asked
    swept = {s for p in found for s in named(p)[1]}
    assert any(s.startswith(("teacher.", "student.")) for s in swept), "what the trials differ in"
