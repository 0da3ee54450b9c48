"""The grid model in a run's pictures: the same measures as any model's, and its tiles beside."""

import json
import shutil

import cv2
import numpy as np
import pandas as pd
import pytest

from data_sharding.phantom.atlas import Atlas
from data_sharding.phantom.masks import REGIONS
from data_sharding.reader import ShardDataset
from eval.gradcam import gradcam
from eval.pictures.chosen import HIGHEST, LOWEST, answered
from eval.pictures.explain import attention_of, panels
from eval.pictures.eyes import Eyes
from eval.report import write_report
from eval.runs import Run
from tests.eval.pictures.phantom_run import phantom_run
from training.checkpoint import load_weights
from training.config import Model
from training.grid import Grid
from training.models import cam_layer

GRID = Grid(grid=3, tile=32, width=32, depth=1, heads=4, mlp=64, hidden=16)
PUBLIC = "public-public"


@pytest.fixture(scope="module")
def made(world, tmp_path_factory):
    run = tmp_path_factory.mktemp("grid") / "run"
    config = Model(name="grid_transformer", pretrained="none", grid=GRID)
    return phantom_run(world / "cxr2", run, config, "image", size=96)


def test_shares_of_a_grids_attention_are_those_of_its_maps_in_the_masks(made, world):
    found = attention_of(made, world / "world", per_answer=5)
    assert found.undefined is None
    assert "put together before ReLU and scaled once" in found.method
    model, preprocessor = load_weights(made / "image" / "weights")
    data = ShardDataset(world / "cxr2" / "public")
    atlas, rows = (
        Atlas(world / "world", data.folder),
        dict(map(reversed, enumerate(data.index.key))),
    )
    mine = [x for x in found.looked if x.cohort == PUBLIC]
    assert {x.answer for x in mine} == {"normal", "low bone mass"}
    frame = answered(Run.at(made), PUBLIC, "image").set_index("key")
    stated = json.loads((made / "report" / "attention.json").read_text())
    assert stated["method"] == found.method
    for looked in mine:
        answer = int(looked.answer != "normal")
        keys = frame.index[frame["answer"] == answer]
        assert looked.pictures == 5 < len(keys)
        # whichever five were drawn: the mean share lies within those of all
        shares = []
        for key in keys:
            image = preprocessor(data.image(rows[key])[None])
            cam = gradcam(model, cam_layer(model), image, answer, (3, 3)).maps[0].numpy()
            weight = cam / max(cam.sum(), 1e-9)
            shares.append([float((weight * m).sum()) for m in atlas.shares(key, 96).values()])
        for region, row, of_all in zip(REGIONS, looked.regions, np.transpose(shares), strict=True):
            assert row.region == region
            assert of_all.min() - 1e-3 <= row.share.value <= of_all.max() + 1e-3
            assert 0 < row.control.value < 1
            assert row.above_control.low <= row.above_control.value <= row.above_control.high
    blocks = [s.block for s in found.sanity.stages]
    assert blocks == ["head", "layers", "everything"]  # the parts' own heads have no say
    assert found.sanity.networks == 3


def test_pictures_of_16_bits_and_three_classes_are_looked_at_the_same_way(world, tmp_path):
    """As the paper has them: nothing truncated, each picture by its own percentiles."""
    config = Model(name="grid_transformer", pretrained="none", grid=GRID, classes=3, ordinal=True)
    run = phantom_run(world / "cxr16", tmp_path / "run", config, "image", size=96, per_image=True)
    found = attention_of(run, world / "world", per_answer=4)
    assert found.undefined is None
    assert {x.cohort for x in found.looked} == {"asan-test", "north-external", PUBLIC}
    for looked in found.looked:
        shares = [r.share.value for r in looked.regions]
        if looked.zero_maps < looked.pictures:
            assert sum(shares) == pytest.approx(1, abs=1e-4)
    assert "log odds (positive classes against the rest)" in found.method
    assert len(panels(run, per_group=1)) > 3


def test_a_cohort_that_nobody_measured_shows_its_highest_and_lowest(made):
    shown = [p for p in panels(made, per_group=3) if p.where == PUBLIC]
    assert [p.group for p in shown] == [HIGHEST] * 3 + [LOWEST] * 3
    frame = answered(Run.at(made), PUBLIC, "image")
    for group, ascending in ((HIGHEST, False), (LOWEST, True)):
        order = frame.sort_values(["probability", "key"], ascending=[ascending, True])
        expected = order.drop_duplicates("patient")["key"].head(3)
        assert [p.caption[:8] for p in shown if p.group == group] == list(expected.str[:8])
    assert all("no DXA, the model says" in p.caption for p in shown)
    picture = cv2.imdecode(np.frombuffer(shown[0].png, np.uint8), 1)
    assert picture.shape == (256, 3 * 256 + 2 * 6, 3)


def test_the_page_has_both_maps_and_the_measured_shares(made, world):
    page = write_report(made, world=world / "world" / "world.json").read_text()
    assert f"{PUBLIC}: {HIGHEST}" in page
    assert "each tile&#39;s token" in page or "each tile's token" in page
    assert f"{PUBLIC}, answered low bone mass" in page
    assert "On the right of each, how much every tile counts" in page
    assert '<div class="cams three">' in page
    assert write_report(made, world=world / "world" / "world.json").read_text() == page


def test_classes_are_called_as_the_run_calls_them(made, tmp_path):
    run = shutil.copytree(made, tmp_path / "run")
    shutil.rmtree(run / "report", ignore_errors=True)
    facts = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(facts | {"positive": "osteoporosis"}))
    said = [f"{p.group} {p.caption} {p.name}" for p in panels(run, per_group=2)]
    assert any("the model says no osteoporosis" in x for x in said)
    assert not any("low bone mass" in x or "normal" in x for x in said)


def test_of_a_cross_validated_run_it_is_said_whose_network_is_looked_through(made, tmp_path):
    run = shutil.copytree(made, tmp_path / "run", ignore=shutil.ignore_patterns("report"))
    facts = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(facts | {"folds": 5}))
    assert "; of the first of 5 folds' networks" in attention_of(run, per_answer=1).method
    assert "folds" not in Eyes.of(made, None).method


def test_without_a_threshold_no_answer_is_explained(made, tmp_path):
    run = shutil.copytree(made, tmp_path / "run", ignore=shutil.ignore_patterns("report"))
    path = Run.at(run).cohort(PUBLIC, "predictions.parquet")
    pd.read_parquet(path).assign(threshold=np.nan).to_parquet(path)
    assert not [p for p in panels(run, per_group=1) if p.where == PUBLIC]
