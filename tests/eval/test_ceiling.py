"""Ceilings: from run.json, from a world, kept in the run, and refused where there are none."""

import json

import pytest

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
