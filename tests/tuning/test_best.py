"""The best of a sweep: its order with one and two objectives, and best.yaml, which runs."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from tests.tuning.trials import FAIL, PRUNED, RUNNING, add
from training.__main__ import app as train
from training.recipe_file import read_recipe
from tuning.results.best import best, config_of, diff, fronts, ranking, write_best
from tuning.store import open_study
from tuning.sweep import Sweep


@pytest.fixture
def sweep(changes):
    return Sweep.of("ospenscreen:smoke", [*changes, "track.project=42"])


def slots(trials):
    return [t.user_attrs["slot"] for t in trials]


def test_the_highest_is_the_best_and_the_earliest_of_equals(sweep):
    study = open_study(sweep)
    assert best(study) is None
    assert write_best(sweep, study) is None
    add(sweep, study, None, FAIL)
    for value in (0.7, 0.9, 0.9, 0.8):
        add(sweep, study, [value])
    add(sweep, study, None, PRUNED)
    add(sweep, study, None, RUNNING)
    assert slots(ranking(study)) == [2, 3, 4, 1]
    assert slots([best(study)]) == [2]


def test_fronts_are_those_of_the_definition(changes):
    sweep = Sweep.of("ospenscreen:smoke", changes, objectives=("auroc_low", "gap"))
    study = open_study(sweep)
    rng = np.random.default_rng(0)
    values = [tuple(v) for v in rng.integers(0, 5, (14, 2)) / 10]
    for high, low in values:
        add(sweep, study, [high, low])

    def beats(a, b):  # more of the first, less of the second
        return a != b and a[0] >= b[0] and a[1] <= b[1]

    found = [slots(front) for front in fronts(study)]
    assert sorted(itertools.chain(*found)) == list(range(14))
    for i, front in enumerate(found):
        left = set(itertools.chain(*found[i:]))
        assert set(front) == {s for s in left if not any(beats(values[o], values[s]) for o in left)}
        assert front == sorted(front, key=lambda s: (-values[s][0], values[s][1], s))
    assert set(found[0]) == {t.number for t in study.best_trials}  # Optuna's own
    assert slots(ranking(study)) == list(itertools.chain(*found))


def test_best_yaml_says_what_changed_and_runs(sweep, changes):
    study = open_study(sweep)
    own = sweep.base.student.lr
    params = {"student.lr": own, "student.alpha": 0.5}
    add(sweep, study, [0.6], params=params)
    run = add(sweep, study, [0.8], params=params | {"student.lr": 0.0123456})
    path = write_best(sweep, study)
    facts = yaml.safe_load(path.read_text())
    assert facts["settings"] == {"student.lr": {"from": own, "to": 0.01235}}
    assert diff(sweep, study.trials[1]) == {"student.lr": (own, 0.01235)}
    assert facts["fixed"]["input.size"] == 48
    assert facts["fixed"]["track.project"] == "42"
    assert facts["found"]["score"] == {"auroc_low": 0.8}
    assert facts["found"]["run"] == run
    assert (facts["found"]["trial"], facts["found"]["trials"]) == (1, 2)
    assert facts["found"]["searched"] == ["student.lr", "student.alpha"]
    made, remarks = read_recipe(path, ["student.epochs=2"])
    assert not remarks
    wanted = config_of(sweep, study.trials[1])
    assert made.student.epochs == 2
    assert read_recipe(path)[0].identity({}) == wanted.identity({})
    assert read_recipe(path)[0].paths == wanted.paths
    assert made.predict == "all"
    before = path.read_bytes()
    assert write_best(sweep, study).read_bytes() == before


def test_best_yaml_trains(sweep):
    study = open_study(sweep)
    add(sweep, study, [0.8], params={"student.lr": 0.01})
    path = write_best(sweep, study)
    done = CliRunner().invoke(train, ["--recipe", str(path), "compute.launcher=local"])
    assert done.exit_code == 0, done.output
    (run,) = (p for p in (sweep.base.paths.runs).glob("ospenscreen-smoke-*") if p.is_dir())
    assert "lr: 0.01\n" in (run / "config.yaml").read_text()
    assert {p.name for p in (run / "cohorts").iterdir()} == {"here-tune", "here-test"}
