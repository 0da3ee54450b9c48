"""Ceilings: from run.json, from a world, kept in the run, and refused where there are none."""

import json

import pytest

from data_sharding.phantom.world import make_world
from eval.ceiling import ceilings, keep_ceilings
from eval.runs import Run

SITE = {"ceiling": 0.948, "latent": 0.947, "age_and_sex": 0.663, "n": 47135}


def world(folder, sites):
    path = folder / "world.json"
    path.write_text(json.dumps({"format": "osteoray-phantom/1", "ceilings": sites}))
    return path


def test_run_json_states_numbers(run):
    known = ceilings(Run.at(run))
    assert {c: v.auroc for c, v in known.items()} == {"asan-test": 0.951, "north-external": 0.94}
    assert known["asan-test"].age_and_sex is None


def test_a_world_gives_its_sites_to_their_cohorts_and_is_remembered(run, tmp_path):
    keep_ceilings(Run.at(run), world(tmp_path, {"asan": {"population": SITE, "patients": {}}}))
    known = ceilings(Run.at(run))
    assert {c: v.auroc for c, v in known.items()} == {
        "asan-test": 0.948,
        "asan-tune": 0.948,
        "north-external": 0.94,
    }
    assert known["asan-tune"].age_and_sex == 0.663


def task(auroc, **rest):
    return {"population": {"ceiling": auroc, "clinical": 0.8, **rest}, "patients": {}}


EVERY = {
    "asan": {
        "population": SITE,
        "tasks": {
            "low bone mass": task(0.95),
            "osteoporosis": task(0.974, readings=[{"error": 0.4, "picture": 0.9}]),
            "three classes": task(0.978, accuracy=0.837, macro_f1=0.84),
        },
    }
}


@pytest.mark.parametrize(
    ("said", "auroc", "accuracy"),
    [
        ({}, 0.95, None),
        ({"target": ["osteoporosis"]}, 0.95, None),
        ({"target": "low bone mass"}, 0.95, None),
        ({"target": "osteoporosis", "positive": "osteoporosis"}, 0.974, None),
        ({"positive": "osteoporosis"}, 0.974, None),
        ({"target": "three classes"}, 0.978, 0.837),
        ({"positive": "low bone mass or osteoporosis"}, 0.978, 0.837),
    ],
)
def test_the_ceiling_is_of_the_runs_own_task(run, tmp_path, said, auroc, accuracy):
    (run / "run.json").write_text(json.dumps(said))
    keep_ceilings(Run.at(run), world(tmp_path, EVERY))
    found = ceilings(Run.at(run))["asan-test"]
    assert (found.auroc, found.clinical, found.accuracy) == (auroc, 0.8, accuracy)


def test_a_world_that_does_not_know_the_task_is_refused(run, tmp_path):
    """One made when there was one task has no ceiling of another to show in its place."""
    (run / "run.json").write_text(json.dumps({"target": "osteoporosis"}))
    with pytest.raises(ValueError, match="no ceiling of the task osteoporosis; make the world"):
        keep_ceilings(Run.at(run), world(tmp_path, {"asan": {"population": SITE}}))
    for broken in ([], {"asan": 3}, {"asan": {"tasks": ["osteoporosis"]}}, {"asan": None}):
        with pytest.raises(ValueError, match=r"no ceiling|not the cohorts"):
            keep_ceilings(Run.at(run), world(tmp_path, broken))
    assert not (run / "ceiling.json").exists()


def test_a_phantoms_own_world_says_its_ceilings(run, tmp_path):
    made = make_world(tmp_path, internal=2, external=1, public=0, size=64, workers=1)
    for target in made["ceilings"]["asan"]["tasks"]:
        (run / "run.json").write_text(json.dumps({"target": target}))
        keep_ceilings(Run.at(run), tmp_path / "world.json")
        found = ceilings(Run.at(run))
        assert set(found) == {"asan-test", "asan-tune", "north-external"}
        expected = made["ceilings"]["asan"]["tasks"][target]["population"]
        assert found["asan-test"].auroc == expected["ceiling"]
        assert found["asan-test"].clinical == expected["clinical"]


def test_what_is_no_ceiling_is_left_out(run):
    values = {"a": None, "b": "high", "c": 1.5, "d": float("nan"), "e": True, "f": {}, "g": 0.9}
    (run / "run.json").write_text(json.dumps({"ceiling": values}))
    assert list(ceilings(Run.at(run))) == ["g"]
    (run / "run.json").unlink()
    assert ceilings(Run.at(run)) == {}


def test_refuses_other_files(run, tmp_path):
    with pytest.raises(ValueError, match="no such file"):
        keep_ceilings(Run.at(run), tmp_path / "none.json")
    with pytest.raises(ValueError, match="no ceilings in it"):
        keep_ceilings(Run.at(run), run / "run.json")
    with pytest.raises(ValueError, match="knows elsewhere, not the cohorts"):
        keep_ceilings(Run.at(run), world(tmp_path, {"elsewhere": {"population": SITE}}))
