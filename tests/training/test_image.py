"""One image model, learnt from labels: its targets, its folds, its cohorts; with the grid model."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from data_sharding.reader import ShardDataset, read_index
from data_sharding.schema import Manifest, sha256_file
from tests.conftest import pack_pictures
from tests.training.processes import command
from tests.training.test_packs import repack
from training import stages
from training.config import Config
from training.grid import Grid
from training.interrupt import Interrupted
from training.launch import complete, launch, prepare
from training.learn import checkpoint_activations
from training.overrides import override
from training.recipes import recipe
from training.samples import folds_of
from training.world import alone

#: 2 x 2 tiles of 32 pixels.
SMALL = recipe("li2026:smoke").model.model_copy(
    update={"grid": Grid(grid=2, tile=32, width=32, depth=1, heads=2, mlp=32, hidden=16)}
)
GRID = [f"model.grid.{k}={v}" for k, v in SMALL.grid.model_dump().items()] if SMALL.grid else []
PLAIN = ["model.name=test_convnext", "model.grid=null", "input.size=48"]


@pytest.fixture(scope="module")
def three(tmp_path_factory) -> dict[str, Path]:
    """Datasets of three classes, whose labels go 0, 1, 2, 0, ..., and one without labels."""
    root = tmp_path_factory.mktemp("three")
    made = {
        "here": pack_pictures(
            root / "here", "here", "internal", {"train": 48, "tune": 24, "test": 24}
        ),
        "there": pack_pictures(root / "there", "there", "external", {"external": 24}, seed=1),
        "open": pack_pictures(root / "open", "open", "public", {"public": 10}, seed=2),
    }
    for name in ("here", "there"):
        relabel(made[name])
    return made


def relabel(folder: Path) -> None:
    """Every third sample has osteoporosis, in the index that training reads."""
    manifest = Manifest.load(folder)
    index = read_index(folder, manifest)
    index["label"] = np.where(np.arange(len(index)) % 3 == 2, 2, index["label"])
    index.to_parquet(folder / manifest.index)
    classes = ("normal", "low bone mass", "osteoporosis")
    sha = sha256_file(folder / manifest.index)
    repack(folder, classes=classes, policy="three-class/1", index_sha256=sha)


@pytest.fixture
def made(three, tmp_path) -> Callable[..., Config]:
    def make(*changes: str) -> Config:
        return override(
            recipe("li2026:smoke"),
            [
                f"paths.internal={three['here']}",
                f"paths.external=[{three['there']}]",
                f"paths.runs={tmp_path / 'runs'}",
                "input.size=64",
                "image.epochs=2",
                "image.batch=16",
                "image.augment=weak",
                "compute.launcher=local",
                "track.wandb=disabled",
                *changes,
            ],
        )

    return make


def run(config: Config) -> Path:
    folder = prepare(config)
    launch(config, folder)
    assert complete(folder)
    return folder


def said(folder: Path, cohort: str) -> pd.DataFrame:
    return pd.read_parquet(folder / "cohorts" / cohort / "predictions.parquet")


def test_the_grid_model_learns_and_says_what_it_is_for(made, three):
    folder = run(made(*GRID, f"paths.unlabelled=[{three['open']}]"))
    facts = json.loads((folder / "run.json").read_text())
    assert (facts["target"], facts["positive"]) == ("osteoporosis", "osteoporosis")
    assert facts["models"] == ["image"]
    weights = json.loads((folder / "image" / "weights" / "config.json").read_text())
    assert weights["target"] == "osteoporosis"
    assert facts["cohorts"] == ["here-tune", "here-test", "there-external", "open-public"]
    epochs = [json.loads(x) for x in (folder / "image" / "metrics.jsonl").read_text().splitlines()]
    assert {"ce/osteoporosis", "local/not_osteoporosis"} <= {
        name.removeprefix("train/") for name in epochs[-1]
    }
    test, data = said(folder, "here-test"), ShardDataset(three["here"], "test")
    test = test.set_index("key").loc[data.index["key"]]
    packed = data.index["label"].to_numpy(int)
    assert (test["label"].to_numpy(int) == (packed == 2)).all()
    assert (test["category"].to_numpy(int) == packed).all()
    assert test["p_normal"].isna().to_numpy().all()
    nobody = said(folder, "open-public")
    assert len(nobody) == 10
    assert nobody["label"].isna().to_numpy().all()
    assert nobody["probability"].between(0, 1).to_numpy().all()


@pytest.mark.parametrize("ordinal", ["true", "false"])
def test_three_classes_at_once(made, ordinal):
    changes = ("target=three classes", f"model.ordinal={ordinal}")
    folder = run(made(*PLAIN, *changes))
    frame = said(folder, "there-external")
    each = frame[["p_normal", "p_low_bone_mass", "p_osteoporosis"]].to_numpy()
    np.testing.assert_allclose(each.sum(1), 1)
    np.testing.assert_allclose(frame["probability"], 1 - each[:, 0])
    assert (frame["label"].to_numpy(int) == (frame["category"].to_numpy(int) > 0)).all()
    assert set(frame["category"]) == {0, 1, 2}
    point = json.loads((folder / "image" / "weights" / "operating_point.json").read_text())
    tune = said(folder, "here-tune")
    called = tune["probability"] >= point["threshold"]
    assert called[tune["label"].eq(1)].mean() == pytest.approx(point["sensitivity"])


def test_low_bone_mass_is_learnt_and_judged_without_osteoporosis(made):
    folder = run(made(*PLAIN, "target=low bone mass"))
    frame = said(folder, "there-external")
    found = frame["label"].isna().to_numpy() == frame["category"].eq(2).to_numpy()
    assert found.all()
    tune = said(folder, "here-tune")
    fitted = json.loads((folder / "image" / "weights" / "calibration.json").read_text())
    assert fitted["n"] == tune["category"].ne(2).sum()


def test_a_fold_learns_from_the_others_and_says_what_it_makes_of_its_own(made, three):
    changes = (*PLAIN, "data.folds=3", "track.samples=true")
    train = ShardDataset(three["here"], "train")
    seen: list[str] = []
    for fold in range(3):
        config = made(*changes, f"data.fold={fold}")
        folder = run(config)
        mine = folds_of(config, train) == fold
        keys = train.index["key"].to_numpy()
        held = said(folder, "here-heldout")
        assert set(held["key"]) == set(keys[mine])
        lines = [
            json.loads(line)
            for path in (folder / "image" / "served").glob("*.jsonl")
            for line in path.read_text().splitlines()
        ]
        learnt = {k.rpartition("/")[2] for line in lines for k in line["keys"] if k}
        assert learnt == set(keys[~mine])
        patients = train.index.set_index("key")["patient"]
        assert not set(patients[list(learnt)]) & set(held["patient"])
        seen += held["key"].tolist()
    assert sorted(seen) == sorted(keys)


def test_activations_computed_twice_give_the_same_bytes(made, tmp_path):
    plain = run(made(*GRID))
    twice = run(made(*GRID, "compute.grad_checkpointing=true", f"paths.runs={tmp_path / 'other'}"))
    assert plain.name == twice.name, "it decides nothing of what is learnt"
    weights = "image/weights/model.safetensors"
    assert sha256_file(plain / weights) == sha256_file(twice / weights)


def test_stopped_and_begun_again_sgd_goes_on_to_the_same_bytes(made, tmp_path, monkeypatch):
    sgd = ("image.optimizer=sgd", "image.lr=0.01", "image.epochs=4", "compute.checkpoint_steps=1")
    calm = run(made(*GRID, *sgd))
    config = made(*GRID, *sgd, f"paths.runs={tmp_path / 'stopped'}")
    folder = prepare(config)
    monkeypatch.setattr("training.pace.ASK_EVERY_S", 0.0)  # before each step
    asked = iter(range(1000))
    with pytest.raises(Interrupted):
        stages.run(config, folder, alone(False), lambda: next(asked) > 6)
    assert list((folder / "image" / "checkpoints").glob("step-*"))
    launch(config, folder)
    weights = "image/weights/model.safetensors"
    assert sha256_file(folder / weights) == sha256_file(calm / weights)


@pytest.mark.ray
def test_two_ray_workers_learn_it_too(nodes, made):
    config = made(*GRID, "compute.launcher=ray", "compute.workers=2")
    done = subprocess.run(command(config), env=nodes.environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    folder = prepare(config)
    assert complete(folder)
    assert json.loads((folder / "run.json").read_text())["world"]["workers"] == 2
    assert len(set(said(folder, "there-external")["probability"])) > 3


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (["model.name=test_convnext"], "model.grid=null"),
        (["model.ordinal=true"], "target='three classes'"),
        (["image.optimizer=sgd", "compute.strategy=zero1"], "compute.strategy=ddp"),
        (["teacher.epochs=3"], "set image instead"),
        (["image=null", "target=three classes"], "take a recipe that learns one image model"),
        (["image=null"], "local heads"),
        (["data.fold=1"], "data.fold=1: there are 1"),
        (["model.classes=3"], "model.classes follows the target, and osteoporosis has 2"),
    ],
    ids=lambda x: str(x)[:40],
)
def test_what_cannot_be_is_said(made, changes, line):
    with pytest.raises(ValueError, match=line):
        made(*changes)


def test_a_network_that_cannot_save_memory_says_so():
    with pytest.raises(ValueError, match=r"grad_checkpointing=true: alexnet cannot"):
        checkpoint_activations(torch.nn.Linear(1, 1), "alexnet")


def test_a_split_without_a_class_is_refused(made, three, tmp_path):
    few = pack_pictures(tmp_path / "few", "few", "internal", {"train": 4, "tune": 1, "test": 4})
    relabel(few)
    with pytest.raises(ValueError, match="nobody in tune has osteoporosis"):
        prepare(made(f"paths.internal={few}"))


def test_of_a_new_run_the_size_that_differs_is_said(made, capsys):
    prepare(made(*GRID))
    prepare(made(*GRID, "model.grid.local_loss=mean"))
    assert "in model.grid.local_loss (tile -> mean)\n" in capsys.readouterr().out
