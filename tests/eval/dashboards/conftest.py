from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from eval.dashboards.told import Told, of_run
from eval.evaluate import evaluate_run
from tests.eval.conftest import build_run
from tests.training.tracking.conftest import no_settings_of_this_machine, server
from training.recipes import recipe

__all__ = ["no_settings_of_this_machine", "server"]
NAME = "ospenscreen-smoke-0123456789"


@pytest.fixture(scope="session")
def evaluated(tmp_path_factory) -> Path:
    """A run as training names it, with makers of devices, and its metrics."""
    run = build_run(tmp_path_factory.mktemp("evaluated") / NAME, 120)
    facts = json.loads((run / "run.json").read_text())
    facts["run_id"] = NAME
    facts["manifests"]["north"] = {"path": "packs/north", "role": "external"}
    (run / "run.json").write_text(json.dumps(facts))
    (run / "config.yaml").write_text(recipe("ospenscreen:smoke").to_yaml())
    for path in run.glob("cohorts/*/predictions.parquet"):
        frame = pd.read_parquet(path)
        number = frame["patient"].str[-3:].astype(int)
        frame["vendor"] = number.mod(2).map({0: "GE", 1: "Siemens"})
        frame["source"] = path.parent.name.split("-")[0]
        frame.to_parquet(path)
    evaluate_run(run)
    return run


@pytest.fixture
def run(evaluated, tmp_path) -> Path:
    return shutil.copytree(evaluated, tmp_path / evaluated.name)


@pytest.fixture(scope="session")
def told(evaluated) -> Told:
    """What leaves of it."""
    return of_run(evaluated, "0123456789")


def metrics_of(run: Path, cohort: str) -> dict:
    return json.loads((run / "cohorts" / cohort / "metrics.json").read_text())
