"""Grad-CAM panels: of phantoms freely, of anybody else if asked, of faces never."""

from __future__ import annotations

import json
import re
import shutil

import pytest

from eval.dashboards.pictures import FACES, pictures
from eval.runs import Run
from tests.eval.pictures.conftest import world
from tests.eval.pictures.phantom_run import phantom_run
from training.config import Model

__all__ = ["world"]
NAMES = {"asan-test": "asan-test", "north-external": "north-external", "public-public": "open"}


@pytest.fixture(scope="module")
def explained(world, tmp_path_factory):
    run = tmp_path_factory.mktemp("explained") / "run"
    return phantom_run(world / "cxr2", run, Model(name="test_convnext", pretrained="none"))


def test_what_is_shown_to_be_of_the_world_leaves(world, explained):
    kept, said = pictures(Run.at(explained), NAMES, False)
    assert not kept
    assert said
    assert all("not known to be phantoms" in line for line in said)
    found, said = pictures(Run.at(explained), NAMES, False, world / "world" / "world.json")
    assert {"eval/asan-test/gradcam", "eval/north-external/gradcam"} <= set(found)
    assert not said
    # it is known from then on
    again, _ = pictures(Run.at(explained), NAMES, False)
    assert again == found
    every = [said for of_key in found.values() for _, said in of_key]
    assert all("the model says" in caption for caption in every)
    text = json.dumps(every)
    assert not re.search(r"P = |lowest T|[0-9a-f]{8}: ", text)


def test_pictures_of_people_leave_only_if_asked(explained, tmp_path):
    run = shutil.copytree(explained, tmp_path / "run")
    (run / "report" / "attention.json").unlink(missing_ok=True)
    assert pictures(Run.at(run), NAMES, False)[0] == {}
    found, said = pictures(Run.at(run), NAMES, True)
    assert "eval/asan-test/gradcam" in found
    assert not said


def test_cohorts_that_the_report_does_not_name_stay(explained):
    found, _ = pictures(Run.at(explained), {"asan-test": "a"}, True)
    assert set(found) == {"eval/a/gradcam"}


def test_faces_never_leave(explained, monkeypatch):
    run = Run.at(explained)
    monkeypatch.setattr(Run, "faces", True)
    assert pictures(run, NAMES, True) == ({}, [FACES])
