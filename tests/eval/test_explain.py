"""From weights and packs that the real writers made: which pictures are explained, and how."""

import base64
import json
import re

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import expit

from data_sharding.reader import ShardDataset
from eval.evaluate import evaluate_run
from eval.explain import choose, panel_png, panels
from eval.report import write_report
from eval.runs import Run
from training.checkpoint import save_weights
from training.config import Model
from training.models import build
from training.preprocess import Preprocessor


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
    for pack, split in (("internal", "test"), ("external", "external")):
        data = ShardDataset(packs[pack], split)
        with torch.no_grad():
            z = model(preprocessor(np.stack([data.image(i) for i in range(len(data))])))
        logit = (z[:, 1] - z[:, 0]).double().numpy()
        name = f"{data.manifest.name}-{split}"
        facts = ["key", "patient", "label", "age", "sex", "severity", "lowest_t", "height_cm"]
        frame = data.index[[*facts, "weight_kg"]].assign(
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


def test_panels_are_sure_and_right_and_made_once(trained):
    made = panels(trained, per_class=2)
    assert made
    frame = Run.at(trained).predictions("here-test")
    student = frame.set_index(frame["key"].str[:8])
    for panel in (p for p in made if p.where == "here-test"):
        row = student.loc[panel.caption[:8]]
        assert (row["probability"] >= row["threshold"]) == (row["label"] == 1)
        assert panel.name == ("low bone mass" if row["label"] else "normal")
    assert not any(key in p.caption for key in frame["key"] for p in made)
    folder = trained / "report" / "gradcam"
    stamps = {p.file: (folder / p.file).stat().st_mtime_ns for p in made}
    assert panels(trained, per_class=2) == made
    assert {p.file: (folder / p.file).stat().st_mtime_ns for p in made} == stamps
    for file in stamps:
        (folder / file).unlink()
    assert panels(trained, per_class=2) == made


def test_the_report_shows_them(trained):
    page = write_report(trained).read_text()
    assert 'id="pictures"' in page
    images = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    assert len(images) == len(panels(trained))
    picture = cv2.imdecode(np.frombuffer(base64.b64decode(images[0]), np.uint8), 1)
    assert picture.shape == (256, 518, 3)
    assert write_report(trained).read_text() == page


def test_the_choice_is_by_probability_then_key_and_one_per_patient(run, make_cohort, save_cohort):
    frame = make_cohort("a-test", 40, repeats=2, models=("student",))
    save_cohort(run, frame.assign(probability=frame["label"] * 0.8 + 0.1), "a-test")
    chosen = [c for c in choose(Run.at(run), "student", 3) if c.where == "a-test"]
    expected = [
        key
        for label in (1, 0)
        for key in frame[frame["label"] == label].drop_duplicates("patient")["key"][:3]
    ]
    assert [c.key for c in chosen] == expected


def test_proxies_shown_are_the_surest(run):
    frame = pd.read_parquet(run / "pseudo/pseudo_labels.parquet")
    chosen = [
        c for c in choose(Run.at(run), "student", 2) if c.target == 1 and c.where == "public set"
    ]
    top = frame.sort_values("probability", ascending=False).drop_duplicates("patient").head(2)
    assert [c.key for c in chosen] == top["key"].tolist()


def test_a_panel_is_the_picture_beside_its_heat():
    pixels = np.full((64, 64), 100, np.uint8)
    cam = np.zeros((16, 16))
    cam[:8] = 1.0
    picture = cv2.imdecode(np.frombuffer(panel_png(pixels, cam), np.uint8), 1).astype(int)
    left, right = picture[:, :256], picture[:, 262:]
    assert (left == 100).all()
    assert (right[-40:] == 100).all()
    assert (np.abs(right[:40] - 100).max(axis=2) > 50).all()


def test_without_weights_it_says_so(run):
    with pytest.raises(ValueError, match=r"student/weights/model\.safetensors: no weights there"):
        panels(run)
