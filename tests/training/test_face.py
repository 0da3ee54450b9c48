"""Face2Bone's run: colour, FaceNet's embeddings beside the pictures, one cycle, early stopping."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

from data_sharding.reader import ShardDataset
from data_sharding.schema import sha256_file
from tests.training.faces import EXTRAS, SPLITS, pack_faces
from tests.training.models import slow
from training import frozen
from training.checkpoint import load_weights
from training.config import Config
from training.embeddings import embeddings
from training.launch import complete, launch, prepare
from training.models.inception_resnet_v1 import InceptionResnetV1, standardise
from training.optim import learning_rate, optimizer_for
from training.overrides import override
from training.recipes import recipe
from training.world import alone

SMALL = [
    *("model.face.widths=[8,8,16,32]", "model.face.heads=[1,1,2,4]"),
    *("model.face.hilo_heads=[2,2,4,4]", "input.size=48", "image.batch=12", "image.epochs=2"),
    *("compute.launcher=local", "track.wandb=disabled"),
]
#: FaceNet takes its time.
FEW = {"train": 12, "tune": 6, "test": 6}
RESNET = ["model.name=test_resnet", "model.face=null"]


@pytest.fixture(scope="module")
def pack(tmp_path_factory) -> Path:
    return pack_faces(tmp_path_factory.mktemp("faces") / "faces")


@pytest.fixture(scope="module")
def few(tmp_path_factory) -> Path:
    return pack_faces(tmp_path_factory.mktemp("few") / "faces", FEW)


@pytest.fixture(scope="module")
def facenet(tmp_path_factory) -> list[str]:
    """Weights of the right names and shapes, drawn; the settings that name them."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("facenet") / "drawn.safetensors"
    save_file(slow.drawn(InceptionResnetV1()).state_dict(), path)
    return [f"model.face.facenet={path}", f"model.face.facenet_sha256={sha256_file(path)}"]


@pytest.fixture
def made(pack, tmp_path) -> Callable[..., Config]:
    def make(*changes: str, of: Path = pack) -> Config:
        places = [f"paths.internal={of}", f"paths.runs={tmp_path / 'runs'}"]
        return override(recipe("face2bone:smoke"), [*places, *SMALL, *changes])

    return make


def run(config: Config) -> Path:
    folder = prepare(config)
    launch(config, folder)
    assert complete(folder)
    return folder


def said(folder: Path, cohort: str = "faces-test") -> pd.DataFrame:
    return pd.read_parquet(folder / "cohorts" / cohort / "predictions.parquet")


def epochs(folder: Path) -> list[dict]:
    lines = (folder / "image" / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_colours_are_told_apart_and_predictions_are_of_three_classes(made):
    folder = run(made("image.epochs=6", "image.augment=weak"))
    test = said(folder)
    each = test[["p_normal", "p_low_bone_mass", "p_osteoporosis"]].to_numpy()
    assert each.sum(1) == pytest.approx(1)
    assert (each.argmax(1) == test["category"].to_numpy(int)).mean() > 0.8
    facts = json.loads((folder / "run.json").read_text())
    assert (facts["target"], facts["cohorts"]) == ("three classes", ["faces-tune", "faces-test"])
    model, preprocessor = load_weights(folder / "image" / "weights")
    assert preprocessor.pixels == "face/1"
    with torch.no_grad():
        picture = ShardDataset(made().paths.internal, "test").image(0)
        x = preprocessor(picture[None])
        assert x.shape == (1, 3, 48, 48)
        scaled = torch.tensor(picture[20, 30] / 255.0)
        mean, std = torch.tensor(preprocessor.mean), torch.tensor(preprocessor.std)
        assert torch.allclose(x[0, :, 20, 30].double(), (scaled - mean) / std, atol=1e-6)
        assert model(x).shape == (1, 3)


def test_embeddings_are_facenets_of_both_views_made_once_and_go_in_beside_the_picture(
    made, facenet, few, monkeypatch
):
    config = made(*facenet, of=few)
    folder = run(config)
    kept = sorted((folder.parent / "embeddings").iterdir())
    assert len(kept) == 3, "train, tune and test"
    assert not [k for k in load_file(folder / "image/weights/model.safetensors") if "facenet" in k]
    data = ShardDataset(few, "test")
    one = embeddings(config.model, data, np.arange(3), folder.parent / "again", alone())
    assert one is not None
    assert one.shape == (6, 2, 512)
    assert np.isnan(one[3:]).all()
    net = InceptionResnetV1().eval()
    net.load_state_dict(load_file(Path(str(config.model.face.facenet))))
    crops = np.stack([data.extra(i, "crop") for i in range(3)])
    with torch.no_grad():
        for view, images in enumerate((crops, crops[:, :, ::-1])):
            x = standardise(torch.from_numpy(images.copy()).permute(0, 3, 1, 2))
            np.testing.assert_allclose(one[:3, view], net(x).numpy(), atol=1e-5)
    # what is predicted is of the un-mirrored crop
    model, preprocessor = load_weights(folder / "image" / "weights")
    test = said(folder).set_index("key").loc[[data.key(i) for i in range(3)]]
    with torch.no_grad():
        x = preprocessor(np.stack([data.image(i) for i in range(3)]))
        z = model(x, torch.from_numpy(one[:3, 0]))
    odds = torch.logsumexp(z[:, 1:], 1) - z[:, 0]
    np.testing.assert_allclose(test["logit"], odds.numpy(), atol=1e-4)
    monkeypatch.setattr(frozen, "_ask", lambda *_: pytest.fail("asked again"))
    run(made(*facenet, "seed=1", of=few))


def test_baselines_and_ablations_are_overrides(made):
    for change in (["model.face.fsa=false"], ["model.face.ssam=none"], RESNET):
        assert len(said(run(made(*change)))) == SPLITS["test"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (["model.face.facenet=null"], "whose weights are not fetched for you: give model.face"),
        (["model.face.facenet=/nowhere/f.pt"], "pack the photographs again"),
        ([*RESNET, "model.channels=1"], "photographs, and model.channels=1: take a recipe for"),
    ],
)
def test_what_cannot_be_learnt_is_refused_before_anything_is(made, tmp_path, changes, says):
    bare = pack_faces(tmp_path / "bare", extras=EXTRAS[1:])
    with pytest.raises(ValueError, match=says):
        prepare(made(*changes, of=bare))


def test_weights_that_are_not_the_stated_ones_are_refused(made, facenet):
    config = made(facenet[0], "model.face.facenet_sha256=" + "f" * 64)
    with pytest.raises(ValueError, match="SHA-256 is"):
        launch(config, prepare(config))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("model.channels=1", "takes colour and has no published weights"),
        ("model.pretrained=tag", "takes colour and has no published weights"),
        ("model.name=resnet18", "model.face has the sizes of face2bone, and this is resnet18"),
        ("input.per_image=true", "input.per_image is for X-rays"),
        ("image.patience=3", "patience waits for a better epoch"),
    ],
)
def test_settings_that_exclude_each_other(made, change, says):
    with pytest.raises(ValueError, match=says):
        made(change)
    with pytest.raises(ValueError, match="photographs are learnt by one image model"):
        override(recipe("ospenscreen:smoke"), ["model.channels=3"])


def test_facenets_weights_count_by_their_hash_wherever_they_lie(made, facenet):
    here = made(*facenet)
    there = made("model.face.facenet=/elsewhere/w.safetensors", facenet[1])
    other = made(facenet[0], "model.face.facenet_sha256=" + "a" * 64)
    assert here.identity({}) == there.identity({}) != other.identity({})


def test_training_ends_when_nothing_has_been_better_for_long(made):
    """At a rate of 1e-12 little but the batch norms changes."""
    changes = ["image.lr=1e-12", "image.schedule=cosine", "image.select=best"]
    folder = run(made(*changes, "image.epochs=40", "image.patience=2", "image.augment=none"))
    found = epochs(folder)
    score = [e["tune/auroc"] for e in found]
    best = int(np.argmax(score))
    assert len(found) == best + 1 + 2 < 40


@pytest.mark.parametrize(("epochs", "steps"), [(150, 30), (12, 7), (3, 1), (1, 1)])
def test_one_cycle_is_torchs(made, epochs, steps):
    """At the paper's rates; torch's own schedule, whose last rate is a part of its first."""
    stage = made(f"image.epochs={epochs}", "image.lr=1e-3").image
    assert stage is not None
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.Adam([weight])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # no step is made
        peer = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, 1e-3, epochs * steps, final_div_factor=1e-3 / 25 / 1e-6
        )
        theirs = []
        for _ in range(epochs * steps):
            theirs.append(peer.get_last_lr()[0])
            peer.step() if len(theirs) < epochs * steps else None
    ours = [learning_rate(stage, step, steps) for step in range(epochs * steps)]
    assert ours == pytest.approx(theirs, rel=1e-9)
    if epochs * steps > 100:
        assert ours[0] == pytest.approx(4e-5)
        assert max(ours) == pytest.approx(1e-3, rel=1e-4)
        assert ours[-1] == pytest.approx(1e-6)


def test_adams_decay_is_in_the_gradient(made):
    """Unlike AdamW's: from a gradient of zero the first step is the whole rate."""
    stage = made("image.weight_decay=0.1").image
    assert stage is not None
    layer = torch.nn.Linear(1, 1)
    before = layer.weight.item()
    layer.weight.grad, layer.bias.grad = torch.zeros(1, 1), torch.zeros(1)
    optimizer_for(layer, stage).step()
    assert layer.weight.item() == pytest.approx(before - stage.lr * np.sign(before), abs=1e-5)
