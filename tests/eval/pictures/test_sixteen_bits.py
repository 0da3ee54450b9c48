"""Pictures packed in 16 bits: the same maps as of 8, drawn on what a screen shows."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
import torch
from scipy.special import expit

from data_sharding.pictures.shown import shown
from data_sharding.reader import ShardDataset
from eval.pictures.explain import panels
from eval.pictures.overlay import SIDE
from tests.conftest import pack_pictures
from training.checkpoint import load_weights, save_weights
from training.config import Model
from training.models import build
from training.preprocess import Preprocessor

PIXELS = {"shallow": "drawn/1", "deep": "cxr16/1"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Runs of the same weights on the same pictures, kept in 8 bits and widened to 16."""
    root, made = tmp_path_factory.mktemp("depths"), {}
    for depth, pixels in PIXELS.items():
        pack = pack_pictures(root / depth, "here", "external", {"external": 24}, pixels=pixels)
        data, run = ShardDataset(pack), root / f"run-{depth}"
        config = Model(name="test_convnext", pretrained="none")
        torch.manual_seed(0)
        model = build(config).eval()
        seen = Preprocessor(size=48, mean=0, std=1, pixels=pixels, shape=(48, 48), per_image=True)
        save_weights(run / "student" / "weights", model, config, seen, {}, {})
        place = {"external": {"path": str(pack), "role": "external"}}
        (run / "run.json").write_text(json.dumps({"manifests": place}))
        with torch.no_grad():
            z = model(seen(np.stack([data.image(i) for i in range(len(data))])))
        logit = (z[:, 1] - z[:, 0]).double().numpy()
        facts = ["key", "patient", "label", "age", "sex", "severity", "lowest_t", "height_cm"]
        frame = data.index[[*facts, "weight_kg"]].assign(
            patient="of " + data.index["key"],
            **{"model": "student", "cohort": "here-external", "logit": logit},
            **{"probability": expit(logit), "threshold": float(np.median(expit(logit)))},
        )
        (run / "cohorts" / "here-external").mkdir(parents=True)
        frame.to_parquet(run / "cohorts" / "here-external" / "predictions.parquet")
        made[depth] = run, data
    return made


def test_the_pictures_are_as_a_screen_shows_them_and_the_maps_are_those_of_eight_bits(runs):
    of = {depth: {p.caption[:8]: p for p in panels(run)} for depth, (run, _) in runs.items()}
    assert of["deep"].keys() & of["shallow"].keys()
    data = runs["deep"][1]
    row_of = {key[:8]: row for row, key in enumerate(data.index["key"])}
    for key, panel in of["deep"].items():
        drawn = cv2.imdecode(np.frombuffer(panel.png, np.uint8), cv2.IMREAD_COLOR)
        image = data.image(row_of[key])
        assert image.dtype == np.uint16
        want = cv2.resize(shown(image), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        np.testing.assert_array_equal(drawn[:SIDE, :SIDE], np.repeat(want[..., None], 3, 2))
        assert want.std() > 20


def test_what_is_said_of_them_is_what_eight_bits_say(runs):
    """x257 changes nothing that is left after the z-score."""
    (deep, wide), (shallow, narrow) = runs["deep"], runs["shallow"]
    said = []
    for run, data in ((deep, wide), (shallow, narrow)):
        model, seen = load_weights(run / "student" / "weights")
        with torch.no_grad():
            said.append(model(seen(np.stack([data.image(i) for i in range(24)]))))
    torch.testing.assert_close(said[0], said[1], atol=1e-4, rtol=0)
