"""What is predicted, and that a run which is to know nothing of the test split opens none of it."""

from __future__ import annotations

import json
import shutil

import pandas as pd
import pytest

from training.cohorts import cohorts
from training.folder import complete, prepare
from training.launch import start


def shards_of(manifest, index, split):
    named = set(index.loc[index["split"] == split, "shard"])
    return [s["path"] for s in manifest["shards"] if s["path"] in named]


@pytest.fixture
def damaged(packs, tmp_path):
    """The internal dataset with other bytes in its test split's pictures, and their sizes."""
    folder = tmp_path / "damaged"
    shutil.copytree(packs["internal"], folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    for path in shards_of(manifest, pd.read_parquet(folder / "index.parquet"), "test"):
        size = (folder / path).stat().st_size
        (folder / path).write_bytes(bytes(size))
    return folder


def test_with_predict_tune_nothing_of_the_test_split_is_opened(tiny, damaged):
    here = [f"paths.internal={damaged}", "teacher.epochs=1", "student.epochs=1"]
    with pytest.raises(ValueError, match="not the bytes that were packed"):
        start(tiny(*here))
    folder, done = start(tiny(*here, "predict=tune"))
    assert not done
    assert complete(folder)
    assert [p.name for p in (folder / "cohorts").iterdir()] == ["here-tune"]


def test_what_was_left_out_is_predicted_later_by_the_same_run(tiny):
    short = ["teacher.epochs=1", "student.epochs=1"]
    folder, _ = start(tiny(*short, "predict=tune"))
    weights = folder / "student" / "weights" / "model.safetensors"
    trained = weights.stat().st_mtime_ns
    assert start(tiny(*short, "predict=tune")) == (folder, True)
    assert start(tiny(*short)) == (folder, False)
    assert weights.stat().st_mtime_ns == trained
    names = ["here-tune", "here-test", "there-external"]
    assert json.loads((folder / "run.json").read_text())["cohorts"] == names
    assert {p.name for p in (folder / "cohorts").iterdir()} == set(names)
    # Asked for less again: what is there is still known, and nothing is left to do.
    assert start(tiny(*short, "predict=tune")) == (folder, True)
    assert json.loads((folder / "run.json").read_text())["cohorts"] == names
    shutil.rmtree(folder / "cohorts" / "here-test")
    prepare(tiny(*short, "predict=tune"))
    assert complete(folder)
    prepare(tiny(*short))
    assert not complete(folder)


def test_it_is_no_part_of_what_a_run_is_and_not_for_folds(tiny):
    assert tiny("predict=tune").identity({}) == tiny().identity({})
    assert [c.what for c in cohorts(tiny("predict=tune"))] == ["tune"]
    assert [c.what for c in cohorts(tiny())] == ["tune", "test", "external"]
    with pytest.raises(ValueError, match="set predict=all"):
        tiny("predict=tune", "data.folds=2")
