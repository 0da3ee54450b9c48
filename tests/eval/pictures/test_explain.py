"""From weights and packs that the real writers made: which pictures are explained, and how."""

import base64
import hashlib
import json
import re
import shutil

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import expit

from data_sharding.phantom.atlas import Atlas
from data_sharding.phantom.masks import REGIONS
from data_sharding.reader import ShardDataset
from data_sharding.schema import CLASSES
from eval.evaluate import evaluate_run
from eval.pictures.chosen import right, wrong
from eval.pictures.explain import attention_of, panels
from eval.pictures.explained import UNKNOWN
from eval.pictures.gradcam import gradcam
from eval.pictures.overlay import panel_png
from eval.report import write_report
from eval.runs import Run
from tests.eval.pictures.phantom_run import phantom_run
from training.checkpoint import load_weights, save_weights
from training.config import Model
from training.models import build, cam_layer
from training.preprocess import Preprocessor

COHORTS = ("asan-test", "north-external", "public-public")
RIGHT, MISSED, ALARM = (right(0), right(1)), wrong(0), wrong(1)


@pytest.fixture(scope="module")
def trained(packs, tmp_path_factory):
    """A run of the real writers: random weights, their predictions, packs by absolute path."""
    run = tmp_path_factory.mktemp("runs") / "run"
    manifests = {role: {"path": str(path), "role": role} for role, path in packs.items()}
    config = Model(name="test_convnext", pretrained="none")
    torch.manual_seed(0)
    model = build(config).eval()
    preprocessor = Preprocessor(size=48, mean=0.45, std=0.23, pixels="drawn/1", shape=(48, 48))
    save_weights(run / "student" / "weights", model, config, preprocessor, {}, {})
    (run / "run.json").write_text(json.dumps({"manifests": manifests}))
    for which, split in (("internal", "test"), ("external", "external")):
        data = ShardDataset(packs[which], split)
        with torch.no_grad():
            z = model(preprocessor(np.stack([data.image(i) for i in range(len(data))])))
        logit = (z[:, 1] - z[:, 0]).double().numpy()
        name = f"{data.manifest.name}-{split}"
        facts = ["key", "patient", "label", "age", "sex", "severity", "lowest_t", "height_cm"]
        frame = data.index[[*facts, "weight_kg"]].assign(
            patient="of " + data.index["key"],  # the drawn pack's have a label for each picture
            model="student",
            cohort=name,
            logit=logit,
            probability=expit(logit),
            threshold=float(np.median(expit(logit))),
        )
        (run / "cohorts" / name).mkdir(parents=True)
        frame.to_parquet(run / "cohorts" / name / "predictions.parquet")
    return run


def test_what_training_wrote_is_what_evaluation_reads(trained):
    found = {m.cohort: m for m in evaluate_run(trained)}
    assert set(found) == {"here-test", "there-external"}
    assert found["there-external"].models[0].overall.n == 21
    assert all(p.manifest is not None for p in Run.at(trained).packs)


def test_panels_are_as_the_groups_say_and_made_once(trained):
    made = panels(trained, per_group=2)
    predictions = [Run.at(trained).predictions(c) for c in ("here-test", "there-external")]
    facts = pd.concat(predictions)
    facts.index = facts["key"].str[:8]
    groups = {p.heading for p in made}
    assert {f"here-test: {RIGHT[0]}", f"here-test: {RIGHT[1]}"} <= groups
    assert {g.split(": ", 1)[1] for g in groups if g.startswith("there")} <= {MISSED, ALARM}
    assert any(p.group in (MISSED, ALARM) for p in made)
    for panel in made:
        row = facts.loc[panel.caption[:8]]
        answer = int(row["probability"] >= row["threshold"])
        assert panel.name == CLASSES[answer]
        assert (row["label"] == answer) == (panel.group in RIGHT)
        if panel.group in RIGHT:
            assert panel.group == RIGHT[answer]
        else:
            assert panel.group == (ALARM if answer else MISSED)
            assert f"the model says {panel.name}" in panel.caption
    assert not any(key in p.caption for key in facts["key"] for p in made)
    assert not any(who in p.caption for who in facts["patient"] for p in made)
    for group in groups:
        who = [facts.loc[p.caption[:8]]["patient"] for p in made if p.heading == group]
        assert len(who) == len(set(who)) <= 2
    folder = trained / "report" / "gradcam"
    stamps = {p.file: (folder / p.file).stat().st_mtime_ns for p in made}
    assert panels(trained, per_group=2) == made
    assert {p.file: (folder / p.file).stat().st_mtime_ns for p in made} == stamps
    for file in stamps:
        (folder / file).unlink()
    assert panels(trained, per_group=2) == made


def test_an_index_that_points_elsewhere_or_is_torn_is_not_believed(trained, tmp_path):
    copy = shutil.copytree(trained, tmp_path / "copy")
    made = panels(copy, per_group=2)
    path = copy / "report" / "gradcam" / "panels.json"
    text = path.read_text()
    (copy / "report" / "gradcam" / "99.png").write_bytes(b"of an earlier run")
    for torn in (text.replace("00.png", "../../run.json"), text[:200], "[]", '{"stamp": 1}', ""):
        path.write_text(torn)
        assert panels(copy, per_group=2) == made
        assert path.read_text() == text
    assert not (copy / "report" / "gradcam" / "99.png").exists()


def test_a_panel_explains_the_answer_of_its_own_picture(trained):
    """The map of the PNG, drawn again from the pack by hand."""
    panel = panels(trained, per_group=2)[-1]
    model, preprocessor = load_weights(trained / "student" / "weights")
    for place in (p.folder for p in Run.at(trained).packs):
        data = ShardDataset(place)
        rows = data.index.index[data.index["key"].str[:8] == panel.caption[:8]]
        if len(rows):
            pixels = data.image(rows[0])
            target = CLASSES.index(panel.name)
            cam = gradcam(model, cam_layer(model), preprocessor(pixels[None]), target)
            assert panel.png == panel_png(pixels, cam.maps[0].detach().numpy())
            return
    pytest.fail("the panel's picture is in no pack")


def test_weights_that_want_other_pictures_are_refused(trained, tmp_path):
    copy = shutil.copytree(trained, tmp_path / "copy")
    shutil.rmtree(copy / "report", ignore_errors=True)
    path = copy / "student" / "weights" / "preprocessor.json"
    path.write_text(path.read_text().replace("drawn/1", "cxr/9"))
    with pytest.raises(ValueError, match=r"these weights take cxr/9"):
        panels(copy)


def test_without_a_student_the_teacher_is_explained(trained, tmp_path):
    copy = shutil.copytree(trained, tmp_path / "copy")
    shutil.rmtree(copy / "report", ignore_errors=True)
    (copy / "student").rename(copy / "teacher")
    for path in copy.rglob("predictions.parquet"):
        pd.read_parquet(path).assign(model="teacher").to_parquet(path)
    assert [p.caption for p in panels(copy)] == [p.caption for p in panels(trained)]


def test_the_report_shows_them(trained):
    page = write_report(trained).read_text()
    assert 'id="pictures"' in page
    assert '<div class="cams">' in page
    images = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', page)
    assert len(images) == len(panels(trained))
    picture = cv2.imdecode(np.frombuffer(base64.b64decode(images[0]), np.uint8), 1)
    assert picture.shape == (256, 518, 3)
    assert write_report(trained).read_text() == page


@pytest.fixture(scope="module")
def phantom(world):
    """A run on a phantom's two hospitals and public set."""
    phantom_run(world / "cxr2", world / "run", Model(name="test_resnet", pretrained="none"))
    return world


def test_shares_of_attention_in_a_phantom_are_those_of_its_masks(phantom):
    """By hand: every picture's map against the regions of the patient who is behind its key."""
    run = phantom / "run"
    found = attention_of(run, phantom / "world", per_answer=6)
    assert found.undefined is None
    assert {(x.cohort, x.answer) for x in found.looked} == {
        (c, a) for c in COHORTS for a in CLASSES
    }
    model, preprocessor = load_weights(run / "student" / "weights")
    for looked in found.looked:
        name = looked.cohort.split("-")[0]
        data, atlas = (
            ShardDataset(phantom / "cxr2" / name),
            Atlas(phantom / "world", phantom / "cxr2" / name),
        )
        frame = Run.at(run).predictions(looked.cohort)
        answer = CLASSES.index(looked.answer)
        ours = frame[(frame["probability"] >= frame["threshold"]) == answer]
        fair = sorted(ours["key"], key=lambda k: hashlib.sha256(k.encode()).hexdigest())[:6]
        assert looked.pictures == len(fair) > 3
        shares, zero = [], 0
        for key in fair:
            pixels = data.image(list(data.index["key"]).index(key))
            cam = gradcam(model, cam_layer(model), preprocessor(pixels[None]), answer).maps[0]
            zero += not cam.any()
            if cam.any():
                weight = cam.numpy() / cam.numpy().sum()
                masks = atlas.shares(key, 64)
                shares.append([float((weight * masks[r]).sum()) for r in REGIONS])
        assert looked.zero_maps == zero
        for row, region, mean in zip(looked.regions, REGIONS, np.mean(shares, axis=0), strict=True):
            assert row.region == region
            assert row.share.value == pytest.approx(mean, abs=1e-6)
        assert sum(r.share.value for r in looked.regions) == pytest.approx(1, abs=1e-5)
        assert sum(r.area.value for r in looked.regions) == pytest.approx(1, abs=1e-5)
    assert found.sanity.stages[-1].block == "everything"


def test_attention_is_kept_and_made_again_when_something_changed(phantom, tmp_path):
    run = shutil.copytree(phantom / "run", tmp_path / "run")
    path = run / "report" / "attention.json"
    path.unlink(missing_ok=True)
    first = attention_of(run, per_answer=3)
    assert first.undefined == f"{UNKNOWN} ({', '.join(COHORTS)})"
    assert first.looked == ()
    assert first.sanity.pictures == 6
    known = attention_of(run, phantom / "world" / "world.json", per_answer=3)
    assert known.looked
    before = path.stat().st_mtime_ns
    assert attention_of(run, per_answer=3) == known  # what was learnt is not forgotten
    assert attention_of(run, phantom / "world", per_answer=3) == known
    assert path.stat().st_mtime_ns == before
    text = path.read_text()
    frame = Run.at(run).predictions("asan-test")
    assert not any(x[:12] in text for x in (*frame["key"], *frame["patient"]))
    assert str(phantom) not in text
    path.write_text(text[:300])
    assert attention_of(run, phantom / "world", per_answer=3) == known
    assert path.read_text() == text
    other = Run.at(run).cohort("asan-test", "predictions.parquet")
    pd.read_parquet(other).assign(threshold=0.0).to_parquet(other)  # everybody is flagged now
    again = attention_of(run, phantom / "world", per_answer=3)
    assert [x.answer for x in again.looked if x.cohort == "asan-test"] == [CLASSES[1]]


def test_a_world_that_does_not_know_the_pictures_says_so(trained, phantom, tmp_path):
    with pytest.raises(ValueError, match=r"world\.json: no such file"):
        attention_of(trained, tmp_path)
    strange = attention_of(trained, phantom / "world", per_answer=3)
    assert strange.undefined == (
        "here: packed with another key than the world's; its patients are unknown (here-test); "
        "there: packed with another key than the world's; its patients are unknown (there-external)"
    )
    assert strange.looked == ()
    assert strange.sanity.pictures == 6
    other = shutil.copytree(phantom / "world", tmp_path / "world")
    text = (other / "world.json").read_text()
    (other / "world.json").write_text(text.replace('"seed": 2', '"seed": 3'))
    found = attention_of(phantom / "run", other, per_answer=3)
    # a public set numbers its pictures, whoever is in them: these are told by how they look
    alien, looks = found.undefined.split("; ", 1)
    assert alien == f"{UNKNOWN}: they are not of this world (asan-test, north-external)"
    assert re.match(r"the packed picture is \d+\.\d grey levels off .* \(public-public\)$", looks)


def test_without_weights_it_says_so(run):
    with pytest.raises(ValueError, match=r"student/weights/model\.safetensors: no weights there"):
        panels(run)
