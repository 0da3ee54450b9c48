"""End to end, of the same people's radiographs and faces: world, packs, runs, the table of fusion.

What is drawn elsewhere is made here by the real parts: a phantom's people in both modalities, a
cross-validated teacher, a student of the other modality, and the scores put together by patient.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score
from typer.testing import CliRunner

from data_sharding.pack import pack
from data_sharding.phantom.world import make_world
from data_sharding.reader import ShardDataset
from data_sharding.rearrange import split
from eval.__main__ import app
from eval.fusion.shapes import Fusion
from training.config import Config
from training.crossmodal import taught
from training.crossvalidate import cross_validate
from training.crossvalidate.plan import Plan
from training.launch import prepare, start
from training.overrides import override
from training.recipes import recipe

PEOPLE = 72
CLASSES = ["p_normal", "p_low_bone_mass", "p_osteoporosis"]


@dataclass(frozen=True)
class Both:
    """Packs of one world's people, and a cross-validated run of their radiographs."""

    cxr: Path
    faces: Path
    runs: Path
    teacher: Path


def config(name: str, internal: Path, runs: Path, *changes: str) -> Config:
    places = [f"paths.internal={internal}", "paths.external=[]", f"paths.runs={runs}"]
    few = ["compute.launcher=local", "track.wandb=disabled", "image.augment=none"]
    return override(recipe(name), [*places, *few, "image.epochs=2", *changes])


def face_config(internal: Path, runs: Path, *changes: str) -> Config:
    small = ["model.face.widths=[8,8,16,32]", "model.face.heads=[1,1,2,4]", "input.size=48"]
    small += ["model.face.hilo_heads=[2,2,4,4]", "image.batch=12"]
    return config("face2bone:smoke", internal, runs, *small, *changes)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Both:
    root = tmp_path_factory.mktemp("both")
    people: dict[str, Any] = {"internal": PEOPLE, "faces": PEOPLE, "photos_each": 1}
    people |= {"external": 0, "public": 0, "osteoporosis": 0.15}
    make_world(root / "world", seed=2, size=64, workers=1, **people)
    how: dict[str, Any] = {
        "key_file": root / "world" / "pseudonym.key",
        "workers": 1,
        "echo": lambda line: None,
    }
    policy = "who/1+minus-one=osteopenia"  # of T = -1.0 as face2bone/1
    pack(root / "world" / "asan", root / "asan", size=64, label_policy=policy, **how)
    # a stack wants ten people of each kind to be fitted to, and so few are in a tenth
    cxr = root / "cut"
    split(root / "asan", cxr, "train=0.3,tune=0.5,test=0.2", 0, lambda line: None)
    pack(root / "world" / "faces", root / "faces", name="asan", splits_of=cxr, **how)
    folds = config("three_classes:smoke", cxr, root / "runs", "data.folds=2", "input.size=48")
    for fold in Plan.of(folds).folds:  # here, and not each in a process of its own
        start(fold.config)
    whole, _ = cross_validate(folds)
    return Both(cxr, root / "faces", root / "runs", whole)


def told(run: Path, cohort: str) -> pd.DataFrame:
    return pd.read_parquet(run / "cohorts" / cohort / "predictions.parquet").set_index("patient")


def test_radiographs_teach_faces_and_both_are_fused(both, tmp_path):
    x, f = (ShardDataset(p).index.set_index("patient") for p in (both.cxr, both.faces))
    shared = x.index.intersection(f.index)
    assert len(shared) > PEOPLE / 2
    assert f.index.is_unique  # a photograph each
    for column in ("split", "label", "lowest_t", "sex", "height_cm", "weight_kg"):
        assert (x.loc[shared, column] == f.loc[shared, column]).all(), column

    student = face_config(both.faces, both.runs, f"crossmodal.run={both.teacher}")
    faces = ShardDataset(both.faces, "train")
    said = taught(student.crossmodal, student.target, faces)[:, 0]
    out_of_fold = told(both.teacher, "asan-train")
    for patient, log_p in zip(faces.index["patient"], said, strict=True):
        if patient in out_of_fold.index:
            np.testing.assert_allclose(np.exp(log_p), out_of_fold.loc[patient, CLASSES], rtol=1e-4)
        else:
            assert patient not in x.index
            assert np.isnan(log_p).all()
    run, _ = start(student)

    args = ["fusion", "--face", str(run), "--cxr", str(both.teacher), "--out", str(tmp_path)]
    answer = CliRunner().invoke(app, args)
    assert answer.exit_code == 0, answer.output
    made = Fusion.model_validate_json((tmp_path / "fusion.json").read_text())
    split_of = f.loc[shared, "split"]
    assert made.fitted_on == ((split_of == "tune").sum(), _sick(f, shared[split_of == "tune"]))
    (judged,) = made.cohorts
    tested = shared[split_of == "test"].sort_values()
    assert (judged.n, judged.positives) == (len(tested), _sick(f, tested))
    scores = pd.read_parquet(tmp_path / "predictions.parquet").set_index("patient")
    for score in judged.scores:
        mine = scores[scores["model"] == score.name].loc[tested]
        assert score.auroc.value == pytest.approx(
            roc_auc_score(f.loc[tested, "label"] > 0, mine["logit"])
        )
    for name, where in (("face", run), ("CXR", both.teacher)):
        p = told(where, "asan-test").loc[tested, "probability"]
        alone = scores[scores["model"] == name].loc[tested, "probability"]
        np.testing.assert_allclose(alone, p, rtol=1e-6)
    assert "face + CXR: " in answer.output
    assert f"judged: {len(tested)} patients have both scores" in answer.output


def test_a_teacher_that_learnt_from_the_students_test_patients_is_refused(both, tmp_path):
    """Split on their own, faces have patients in test whom the radiographs' run learnt from."""
    apart = tmp_path / "apart"
    split(both.faces, apart, "train=0.4,tune=0.3,test=0.3", 7, lambda line: None)
    x, f = (ShardDataset(p).index for p in (both.cxr, apart))
    learnt_from = set(x.loc[x["split"] == "train", "patient"])
    leaked = learnt_from & set(f.loc[f["split"].isin(["tune", "test"]), "patient"])
    assert leaked
    with pytest.raises(ValueError, match=rf"learnt from {len(leaked)} patients, .* --splits-of"):
        prepare(face_config(apart, both.runs, f"crossmodal.run={both.teacher}"))


def _sick(index: pd.DataFrame, patients: pd.Index) -> int:
    return int((index.loc[patients, "label"] > 0).sum())
