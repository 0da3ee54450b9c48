"""What is known of unlabelled pictures: counts by hand, small groups, and a real public set."""

import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data_sharding.pack import pack
from data_sharding.reader import ShardDataset
from data_sharding.schema import check_predictions
from eval.pictures.explain import quality_of
from eval.pictures.quality import kind, quality
from eval.report import write_report
from tests.eval.conftest import manifest
from tests.eval.pictures.phantom_run import phantom_run
from training.config import Model

NIH = Path(__file__).resolve().parents[4] / "shared" / "data" / "nih_sample"


def frame_of(n, probability, **facts):
    columns = {
        "model": "image",
        "cohort": "nih-public",
        "key": [f"k{i:03d}" for i in range(n)],
        "patient": [f"p{i:03d}" for i in range(n)],
        "label": pd.NA,
        "probability": probability,
        "threshold": 0.5,
    }
    return check_predictions(pd.DataFrame(columns | facts))


def flow_of(settings, excluded):
    made = manifest("nih", "public", (), {"public": 40})
    step = {"step": "images", "unit": "image", "n_in": 50, "excluded": excluded, "n_out": 40}
    return type(made).model_validate(made.model_dump() | {"settings": settings, "flow": [step]})


def test_groups_by_hand():
    n = 40
    p = np.linspace(0, 1, n)
    view = ["AP"] * 12 + ["PA"] * 20 + [""] * 8
    applied = [
        ["decoded PNG", *(["window 40/400 ignored"] if i % 4 == 0 else [])] for i in range(n)
    ]
    sex = np.where(np.arange(n) % 2 == 0, "F", "M")
    excluded = {"looks_turned": 3, "under_age": 6, "blank": 1}
    found = quality(frame_of(n, p, sex=sex), view, applied, flow_of({"screen": True}, excluded))
    groups = {g.name: {r.level: r for r in g.rows} for g in found.groups}
    assert list(groups) == ["view", "sex", "packing: window #/# ignored"]
    assert {k: r.pictures for k, r in groups["view"].items()} == {"AP": 12, "PA": 20, "unknown": 8}
    for level, rows in (("AP", range(12)), ("PA", range(12, 32)), ("unknown", range(32, 40))):
        expected = np.mean([p[i] >= 0.5 for i in rows])
        assert groups["view"][level].called_positive.value == pytest.approx(expected)
    assert groups["packing: window #/# ignored"]["yes"].pictures == 10
    assert found.left_out == {"blank": 1, "looks_turned": 3}  # age is of a person
    assert found.screened
    assert not quality(frame_of(n, p), view, applied, flow_of({}, {})).screened


def test_a_few_people_are_kept_back_and_cannot_be_had_by_subtraction():
    view = ["LL"] * 3 + ["AP"] * 6 + ["PA"] * 31
    found = quality(frame_of(40, np.linspace(0, 1, 40)), view, [[]] * 40, flow_of({}, {}))
    (group,) = found.groups
    stated = {r.level: (r.pictures, r.called_positive.value is None) for r in group.rows}
    assert stated == {"AP": (None, True), "LL": (None, True), "PA": (31, False)}


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ("decoded JPEG 2000", "decoded JPEG 2000"),
        ("window 2048/4096", "window #/#"),
        ("rescale 1.5 x + -1024", "rescale # x + #"),
        ("inverted (MONOCHROME1)", "inverted (MONOCHROME1)"),
        ("truncated to the central 50%", "truncated to the central #%"),
    ],
)
def test_numbers_do_not_make_kinds(step, said):
    assert kind(step) == said


def test_only_cohorts_without_labels_are_described(world, tmp_path):
    run = phantom_run(
        world / "cxr2", tmp_path / "run", Model(name="test_resnet", pretrained="none")
    )
    (found,) = quality_of(run)
    data = ShardDataset(world / "cxr2" / "public")
    assert (found.cohort, found.pack, found.pictures) == ("public-public", "public", len(data))
    counts = data.index["view"].value_counts()
    view = next(g for g in found.groups if g.name == "view")
    shown = {r.level: r.pictures for r in view.rows}
    assert all(shown[v] in (None, n) for v, n in counts.items())
    path = run / "report" / "quality.json"
    text = path.read_text()
    assert json.loads(text)["cohorts"][0]["cohort"] == "public-public"
    assert not any(x[:12] in text for x in (*data.index["key"], *data.index["patient"]))
    quality_of(run)
    assert path.read_text() == text
    page = write_report(run).read_text()
    assert "Which pictures these are" in page
    assert "Left out of public before" in page or not found.left_out


def test_a_pack_that_lacks_pictures_is_said(world, tmp_path):
    run = phantom_run(
        world / "cxr2", tmp_path / "run", Model(name="test_resnet", pretrained="none")
    )
    facts = json.loads((run / "run.json").read_text())
    facts["manifests"].pop("public")
    (run / "run.json").write_text(json.dumps(facts))
    with pytest.raises(ValueError, match=r"public-public: no readable packed dataset has all"):
        quality_of(run)
    assert "no readable packed dataset has all of its pictures" in write_report(run).read_text()


@pytest.mark.skipif(not NIH.is_dir(), reason="the NIH sample in ../shared/data is not here")
def test_real_nih_pictures_need_no_special_case(tmp_path):
    """From the public set's own files to the page, by the grid model, with 16 bits kept."""
    from tests.eval.pictures.phantom_run import predict_public
    from training.grid import Grid

    pack(
        *(NIH, tmp_path / "nih"),
        **{"role": "public", "name": "nih", "size": 96, "workers": 1, "pixels": "cxr16/1"},
        echo=lambda _: None,
    )
    grid = Grid(grid=3, tile=32, width=32, depth=1, heads=4, mlp=64, hidden=16)
    config = Model(name="grid_transformer", pretrained="none", grid=grid)
    run = predict_public(tmp_path / "nih", tmp_path / "run", config, per_image=True)
    page = write_report(run).read_text()
    (found,) = quality_of(run)
    with gzip.open(NIH / "Data_Entry_2017_v2020.csv.gz", "rt") as f:
        views = pd.read_csv(f).set_index("Image Index")["View Position"]
    here = views[[p.name for p in (NIH / "images").iterdir()]]
    view = {r.level: r.pictures for g in found.groups if g.name == "view" for r in g.rows}
    assert set(view) == {"AP", "PA"} == set(here)
    assert sum(view.values()) == found.pictures <= len(here)
    assert found.screened
    assert found.left_out["finding"] == 31
    for text in ("highest scores (no DXA)", "lowest scores (no DXA)", "Which pictures these are"):
        assert text in page
    assert "Traceback" not in page
