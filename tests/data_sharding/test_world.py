"""The phantom world, packed: what its makers know of each picture is what the shards say."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from data_sharding.pack import pack
from data_sharding.phantom.world import make_world
from data_sharding.reader import ShardDataset


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("world") / "world"
    make_world(out, seed=3, internal=24, external=10, public=8, size=64, workers=2)
    return out


@pytest.mark.parametrize("name", ["asan", "north"])
def test_labels_are_the_worlds(world, tmp_path, name):
    pack(world / name, tmp_path / name, size=64, workers=1, echo=lambda _: None)
    data = ShardDataset(tmp_path / name)
    truth = pd.read_csv(world / "truth.csv")
    truth = truth[(truth["site"] == name) & truth["label"].notna()]
    # of several eligible radiographs the closest in time is taken
    truth = truth.assign(gap=truth["days_to_dxa"].abs()).sort_values(["gap", "study_date"])
    want = truth.groupby("patient_id").first()
    assert len(data) == len(want) > 3
    columns = ["label", "lowest_t", "days_to_dxa", "sex"]
    ours = sorted(map(tuple, data.index[columns].astype(object).to_numpy().tolist()))
    assert ours == sorted(map(tuple, want[columns].astype(object).to_numpy().tolist()))


def test_the_public_set_is_the_worlds(world, tmp_path):
    pack(world / "public", tmp_path / "public", size=64, workers=1, echo=lambda _: None)
    truth = pd.read_csv(world / "truth.csv")
    public = truth[(truth["site"] == "public") & (truth["finding"] == "No Finding")]
    assert len(ShardDataset(tmp_path / "public")) == (public["age"] >= 50).sum()
