"""A run of radiographs teaches faces: by patient; where it is silent the label is all."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional as F

from data_sharding.reader import ShardDataset
from tests.training.faces import CLASSES, pack_faces
from training.batch import Batch
from training.config import Config
from training.crossmodal import check_crossmodal, taught
from training.launch import complete, launch, prepare
from training.overrides import override
from training.recipes import recipe
from training.tasks import Distil, Supervised

SPLITS = {"train": 24, "tune": 12, "test": 12}


def write_run(
    folder: Path, judged: dict[str, list[str]], target: str = "three classes", done: bool = True
) -> Path:
    """A cross-validated run of radiographs, as far as others see it: patients by cohort."""
    folder.mkdir()
    facts = {"complete": done, "target": target, "models": ["image"]}
    (folder / "run.json").write_text(json.dumps(facts))
    rng = np.random.default_rng(0)
    for split, patients in judged.items():
        p = rng.dirichlet(np.ones(3), len(patients))
        each = dict(zip(("p_normal", "p_low_bone_mass", "p_osteoporosis"), p.T, strict=True))
        place = folder / "cohorts" / f"cxr-{split}"
        place.mkdir(parents=True)
        frame = pd.DataFrame({"patient": patients, **each})
        frame = frame.assign(model="image", cohort=place.name, probability=1 - p[:, 0])
        frame.to_parquet(place / "predictions.parquet")
    return folder


@pytest.fixture(scope="module")
def pack(tmp_path_factory) -> Path:
    return pack_faces(tmp_path_factory.mktemp("faces") / "faces", SPLITS)


def patients(pack: Path, split: str) -> list[str]:
    return sorted(set(ShardDataset(pack, split).index["patient"]))


@pytest.fixture
def made(pack, tmp_path):
    def make(*changes: str) -> Config:
        few = ["model.face.widths=[8,8,16,32]", "model.face.heads=[1,1,2,4]", "input.size=48"]
        few += ["model.face.hilo_heads=[2,2,4,4]", "image.batch=12", "image.epochs=1"]
        few += ["compute.launcher=local", "track.wandb=disabled"]
        places = [f"paths.internal={pack}", f"paths.runs={tmp_path / 'runs'}"]
        return override(recipe("face2bone:smoke"), [*places, *few, *changes])

    return make


def test_each_photograph_is_taught_by_its_patients_probabilities(made, pack, tmp_path):
    train = patients(pack, "train")
    run = write_run(tmp_path / "cxr", {"train": train[:6], "tune": [train[6]], "test": ["nobody"]})
    config = made(f"crossmodal.run={run}")
    data = ShardDataset(pack, "train")
    said = taught(config.crossmodal, config.target, data)
    assert said.shape == (len(data), 2, len(CLASSES))
    known = data.index["patient"].isin(train[:7]).to_numpy(bool)
    assert np.isnan(said[~known]).all()
    assert (said[known, 0] == said[known, 1]).all()
    frame = pd.read_parquet(run / "cohorts" / "cxr-train" / "predictions.parquet")
    for row, patient in zip(said[known, 0], data.index["patient"][known], strict=True):
        if patient in train[:6]:
            theirs = frame.loc[frame["patient"] == patient, ["p_normal", "p_low_bone_mass"]]
            np.testing.assert_allclose(np.exp(row[:2]), theirs.to_numpy()[0], rtol=1e-5)
    folder = prepare(config)
    launch(config, folder)
    assert complete(folder)
    last = (folder / "image" / "metrics.jsonl").read_text().splitlines()[-1]
    assert json.loads(last)["train/kl"] > 0
    # another teacher, another run; without one, another still
    again = write_run(tmp_path / "again", {"train": train[:5]})
    others = [made(f"crossmodal.run={again}"), made(), made(f"crossmodal.run={run}", "seed=1")]
    assert len({c.identity({}) for c in (config, *others)}) == 4


def test_a_link_to_the_latest_run_names_the_one_that_it_was(made, tmp_path):
    runs = tmp_path / "cxr"
    runs.mkdir()
    for name in ("first", "second"):
        write_run(runs / name, {"train": ["a"]})
    link = runs / "latest"
    link.symlink_to("first")
    config = made(f"crossmodal.run={link}")
    link.unlink()
    link.symlink_to("second")
    assert config.crossmodal.run == runs / "first"
    assert Config.model_validate(config.model_dump()) == config


def test_where_the_teacher_is_silent_the_label_is_all():
    """Against sums by hand, and against plain cross-entropy to the bit."""
    torch.manual_seed(0)
    x, label = torch.randn(5, 4), torch.tensor([0, 1, 2, 1, 0])
    teacher = torch.randn(5, 3).log_softmax(1)
    teacher[[1, 4]] = torch.nan
    names = ("a", "b", "c")
    batch = Batch(x, label, torch.tensor([1.0, 1, 1, 1, 0]), 4, teacher=teacher)
    model = torch.nn.Linear(4, 3)
    losses = Distil(2.0, 0.25, names=names).loss(model, batch)
    z = model(x)
    expected = 0.0
    for i in range(4):
        ce = F.cross_entropy(z[i : i + 1], label[i : i + 1])
        if i == 1:
            expected += ce
            continue
        p, q = (teacher[i] / 2).softmax(0), (z[i] / 2).log_softmax(0)
        expected += 0.75 * ce + 0.25 * 4 * (p * (p.log() - q)).sum()
    assert losses["loss"].item() == pytest.approx(expected.item(), rel=1e-5)
    losses["loss"].backward()
    assert model.weight.grad is not None
    assert model.weight.grad.isfinite().all()
    mute = Batch(x, label, torch.ones(5), 5, teacher=torch.full((5, 3), torch.nan))
    alone = Distil(2.0, 0.25, names=names).loss(model, mute)["loss"]
    assert torch.equal(alone, Supervised(names).loss(model, mute)["loss"])


def test_teachers_that_would_leak_or_cannot_teach_are_refused(made, pack, tmp_path):
    train, test = patients(pack, "train"), patients(pack, "test")

    def refused(name: str, says: str, **run) -> None:
        config = made(f"crossmodal.run={write_run(tmp_path / name, **run)}")
        with pytest.raises(ValueError, match=says):
            prepare(config)

    refused("leaks", "learnt from 1 patients, such as test-0", judged={"train": [*train, test[0]]})
    refused("strange", "none of its patients is in faces", judged={"train": ["x", "y"]})
    refused("other", "learnt osteoporosis, and", judged={"train": train}, target="osteoporosis")
    refused("half", "not complete", judged={"train": train}, done=False)
    refused("plain", "no out-of-fold predictions", judged={"tune": train})
    index = ShardDataset(pack).index
    abroad = index.assign(split="external", patient="north-" + index["patient"])
    config = made(f"crossmodal.run={tmp_path / 'fits'}")
    write_run(tmp_path / "fits", {"train": train})
    check_crossmodal(config, {"faces": index, "abroad": abroad})
    abroad.loc[abroad.index[0], "patient"] = train[0]
    with pytest.raises(ValueError, match=r"1 patients, .* that abroad has in external: leave it"):
        check_crossmodal(config, {"faces": index, "abroad": abroad})
    with pytest.raises(ValueError, match="nowhere: not a run"):
        prepare(made(f"crossmodal.run={tmp_path / 'nowhere'}"))
    with pytest.raises(ValueError, match=r"crossmodal\.run teaches one image model"):
        override(recipe("li2026:smoke"), ["crossmodal.run=/x"])
    with pytest.raises(ValueError, match="patients whom folds are judged on"):
        made("crossmodal.run=/x", "data.folds=3")
