"""Grad-CAM panels: of phantoms freely, of anybody else if asked, of faces never."""

from __future__ import annotations

import json
import re
import shutil
from itertools import combinations

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from data_sharding.pack import pack
from data_sharding.phantom.world import make_world
from data_sharding.schema import Role
from eval.__main__ import app
from eval.dashboards.pictures import FACES, coarse, pictures
from eval.runs import Run
from tests.eval.dashboards.reading import evaluation_of
from tests.eval.pictures.phantom_run import phantom_run
from training.config import Model

NAMES = {"asan-test": "asan-test", "north-external": "north-external"}
SITES = {"asan": None, "north": "external"}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Two hospitals of phantoms, packed at 96 pixels."""
    root = tmp_path_factory.mktemp("phantom")
    make_world(root / "world", seed=2, internal=24, external=16, public=4, size=96, workers=1)
    quiet = {"size": 96, "workers": 1, "echo": lambda _: None, "screen": False}
    key = {"key_file": root / "world" / "pseudonym.key"}
    roles: tuple[tuple[Role, str], ...] = (("internal", "asan"), ("external", "north"))
    for role, name in roles:
        out = root / "packs" / name
        pack(root / "world" / name, out, role=role, pixels="cxr/2", **quiet, **key)
    return root


@pytest.fixture(scope="module")
def explained(world, tmp_path_factory):
    run = tmp_path_factory.mktemp("explained") / "run"
    model = Model(name="test_convnext", pretrained="none")
    return phantom_run(world / "packs", run, model, sites=SITES)


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


def test_they_are_read_back_from_the_offline_run(world, explained, tmp_path):
    run = shutil.copytree(explained, tmp_path / "run")
    words = ["track", str(run), "--world", str(world / "world" / "world.json")]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    sent, _ = pictures(Run.at(run), NAMES, False)
    found = evaluation_of(run).pictures
    assert {k: len(v) for k, v in found.items()} == {k: len(v) for k, v in sent.items()}
    for key, of_key in found.items():
        for (pixels, said), (png, caption) in zip(of_key, sent[key], strict=True):
            assert said == caption
            same = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
            assert np.array_equal(pixels, np.asarray(same))
    spec = CliRunner().invoke(app, ["dashboard", str(run)])
    assert spec.exit_code == 0, spec.output
    assert "eval/asan-test/gradcam" in (run / "report" / "workspace.json").read_text()


def test_pictures_of_people_leave_only_if_asked(explained, tmp_path):
    run = shutil.copytree(explained, tmp_path / "run")
    (run / "report" / "attention.json").unlink(missing_ok=True)
    assert pictures(Run.at(run), NAMES, False)[0] == {}
    whole = {p.read_bytes() for p in (run / "report" / "gradcam").glob("*.png")}
    found, said = pictures(Run.at(run), NAMES, True)
    assert "eval/asan-test/gradcam" in found
    assert not said
    assert not whole & {png for of_key in found.values() for png, _ in of_key}, "coarse"


def drawn(name: str, height: int) -> np.ndarray:
    """A grey picture of 256 pixels with a name burnt into its corner, in letters of that height."""
    picture = np.full((256, 256, 3), 90, np.uint8)
    scale = cv2.getFontScaleFromHeight(cv2.FONT_HERSHEY_SIMPLEX, height, 1)
    cv2.putText(picture, name, (8, 8 + height), cv2.FONT_HERSHEY_SIMPLEX, scale, (255,) * 3, 1)
    return picture


def sent(picture: np.ndarray) -> np.ndarray:
    png = coarse(cv2.imencode(".png", picture)[1].tobytes())
    return np.asarray(cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR), np.float64)


@pytest.mark.parametrize("height", [8, 12, 16])
def test_a_name_burnt_into_a_picture_is_not_to_be_read(height):
    """Of all that tells one name from another a seventh is left at most; read it who can."""
    names = ["DOE JANE", "ROE MARY", "POE EDDA", "LEE ANNA"]
    before = [drawn(n, height).astype(float) for n in names]
    after = [sent(drawn(n, height)) for n in names]
    for i, j in combinations(range(4), 2):
        left = np.linalg.norm(after[i] - after[j]) / np.linalg.norm(before[i] - before[j])
        assert left < 1 / 7
    assert sent(drawn("DOE", height)).shape == (256, 256, 3)


def test_cohorts_that_the_report_does_not_name_stay(explained):
    found, _ = pictures(Run.at(explained), {"asan-test": "a"}, True)
    assert set(found) == {"eval/a/gradcam"}


def test_faces_never_leave(explained, monkeypatch):
    run = Run.at(explained)
    monkeypatch.setattr(Run, "faces", True)
    assert pictures(run, NAMES, True) == ({}, [FACES])
