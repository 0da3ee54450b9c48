"""An evaluation logged, and read back from the files: once, whole, under its own name."""

from __future__ import annotations

import dataclasses
import json
import shutil

import cv2
import numpy as np
import pytest

from eval.dashboards.identity import evaluation
from eval.dashboards.log import log, logged_pictures
from eval.dashboards.told import columns
from tests.eval.dashboards.conftest import NAME
from tests.eval.dashboards.reading import evaluation_of, offline
from training.overrides import override
from training.recipes import recipe

KEY = "eval/asan-test/gradcam"


@pytest.fixture
def with_picture(told):
    """With two pictures, each of one colour."""
    made = []
    for tone in (60, 200):
        pixels = np.full((20, 30, 3), (tone, 0, 10), np.uint8)
        made.append((cv2.imencode(".png", pixels)[1].tobytes(), f"tone {tone}"))
    return dataclasses.replace(told, pictures={KEY: made})


def test_all_of_it_is_read_back(run, with_picture):
    told = with_picture
    assert "2 pictures in wandb/" in log(evaluation(run), told, "offline")
    found = evaluation_of(run)
    assert found.numbers == pytest.approx(told.numbers)
    assert set(found.tables) == set(told.tables)
    for key, (names, rows) in found.tables.items():
        assert tuple(names) == columns(key)
        assert rows == [list(row) for row in told.tables[key]]
    ((first, said), (second, _)) = found.pictures[KEY]
    assert said == "tone 60"
    assert first.shape == (20, 30, 3)
    assert (first[0, 0].tolist(), second[0, 0].tolist()) == ([60, 0, 10], [200, 0, 10])
    for name, value in told.numbers.items():
        assert found.log.summary[name] == pytest.approx(value)
    assert found.log.ended
    assert logged_pictures(evaluation(run)) == [KEY]


def test_it_is_called_by_its_run_and_in_its_group(run, told):
    log(evaluation(run), told, "offline")
    it = evaluation_of(run).log.run
    assert (it.display_name, it.job_type) == (f"{NAME}-evaluation", "evaluation")
    assert (it.run_group, it.project) == (NAME, "osteoray")
    assert it.run_id.startswith(f"{NAME}-evaluation-")
    settings = {i.key: json.loads(i.value_json) for i in it.config.update}
    assert settings["teacher"]["lr"] == recipe("ospenscreen:smoke").teacher.lr
    assert not {"paths", "track", "compute"} & set(settings)


def test_a_group_of_its_own(run, told):
    config = override(recipe("ospenscreen:smoke"), ["track.group=masks", "track.project=bones"])
    (run / "config.yaml").write_text(config.to_yaml())
    log(evaluation(run), told, "offline")
    it = evaluation_of(run).log.run
    assert (it.run_group, it.project) == ("masks", "bones")


def test_again_it_is_one_run_and_anew_only_if_something_changed(run, told):
    log(evaluation(run), told, "offline")
    (before,) = offline(run)
    assert log(evaluation(run), told, "offline").startswith("nothing new")
    assert [o.folder for o in offline(run)] == [before.folder]
    changed = dataclasses.replace(told, numbers=told.numbers | {"eval/asan-test/auroc": 0.5})
    assert " in wandb/" in log(evaluation(run), changed, "offline")
    (after,) = offline(run)
    assert after.log.run.run_id == before.log.run.run_id
    assert after.numbers["eval/asan-test/auroc"] == 0.5
    # and where it was deleted it is made again
    shutil.rmtree(after.folder)
    assert "in wandb/" in log(evaluation(run), changed, "offline")
    assert len(offline(run)) == 1


@pytest.mark.parametrize("torn", ["{", "[]", '{"evaluation": 3}', '{"evaluation": {"offline": 1}}'])
def test_a_torn_state_is_made_anew(run, told, torn):
    (run / "tracking.json").write_text(torn)
    assert "in wandb/" in log(evaluation(run), told, "offline")
    assert log(evaluation(run), told, "offline").startswith("nothing new")


def test_a_folder_that_training_did_not_name_is_called_by_nobody(run, told):
    theirs = run.rename(run.with_name("jane_doe_1956"))
    log(evaluation(theirs), told, "offline")
    it = evaluation_of(theirs).log.run
    assert it.display_name.startswith("evaluation-")
    assert it.run_group == it.display_name == it.run_id
    # a name like ours, that run.json does not know, is not ours either
    other = theirs.rename(run.with_name("jane_doe-0123456789"))
    assert evaluation(other).name == it.display_name


def test_online_it_is_one_run_too(run, told, server):
    assert "sent" in log(evaluation(run), told, "online")
    assert log(evaluation(run), told, "online").startswith("nothing new")
    ((name, kept),) = server.runs.items()
    assert name == evaluation(run).id
    assert kept.settings["groupName"] == NAME
    assert kept.summary["eval/asan-test/auroc"] == told.numbers["eval/asan-test/auroc"]
    changed = dataclasses.replace(told, numbers=told.numbers | {"eval/asan-test/auroc": 0.5})
    log(evaluation(run), changed, "online")
    assert list(server.runs) == [name]
    assert kept.summary["eval/asan-test/auroc"] == 0.5
    assert [h["_step"] for h in kept.history] == [0, 1]
