"""Learning from a few of the train split's shards."""

from __future__ import annotations

import pytest

from data_sharding.reader import ShardDataset, read_index
from data_sharding.schema import Manifest, sha256_file
from tests.conftest import pack_pictures
from training.folder import prepare
from training.launch import start
from training.samples import learnt_from


@pytest.fixture
def train(packs):
    return ShardDataset(packs["internal"], "train")  # 45 samples, 16 a shard


def test_the_first_shards_whole_and_in_their_order(tiny, train):
    for n, samples in ((1, 16), (2, 32), (3, 45)):
        kept = learnt_from(tiny(f"data.shards={n}"), train)
        assert kept.index["key"].tolist() == train.index["key"].tolist()[:samples]
    assert len(learnt_from(tiny(), train)) == 45


def test_of_the_train_split_alone(tiny, packs):
    tune = ShardDataset(packs["internal"], "tune")
    assert len(learnt_from(tiny("data.shards=1"), tune)) == len(tune) == 20


def test_together_with_folds_it_is_what_both_leave(tiny, train):
    of = ["data.folds=3", "data.fold=1", "paths.public=null", "pseudo.enabled=false"]
    both = set(learnt_from(tiny(*of, "data.shards=2"), train).index["key"])
    folds = set(learnt_from(tiny(*of), train).index["key"])
    first = set(train.index["key"].to_numpy()[train.shards < 2])
    assert both == folds & first
    assert 0 < len(both) < min(len(folds), len(first))


def test_more_than_there_are_is_refused_before_anything_is_trained(tiny):
    with pytest.raises(ValueError, match=r"here has 3 of the train split; set 3 or less"):
        prepare(tiny("data.shards=4"))


def test_a_class_that_is_not_in_them_is_said(tiny, tmp_path):
    place = pack_pictures(
        tmp_path / "well", "well", "internal", {"train": 40, "tune": 8, "test": 8}, seed=4
    )
    manifest = Manifest.load(place)
    index = read_index(place, manifest)
    index.loc[:15, "label"] = 0  # the first shard's
    index.to_parquet(place / manifest.index)
    sha = sha256_file(place / manifest.index)
    manifest.model_copy(update={"index_sha256": sha}).save(place)
    here = f"paths.internal={place}"
    with pytest.raises(ValueError, match="nobody in them has low bone mass: take more"):
        prepare(tiny("data.shards=1", here))
    prepare(tiny("data.shards=2", here))


def test_it_decides_the_result_and_shortens_an_epoch(tiny):
    short = ["teacher.epochs=1", "student.epochs=1", "student.proxy_share=0", "predict=tune"]
    steps = []
    for n in (1, 3):
        config = tiny(*short, f"data.shards={n}")
        folder, _ = start(config)
        records = (folder / "teacher" / "metrics.jsonl").read_text()
        steps.append(records.count('"step": 1,') + 10 * records.count('"step": 3,'))
    assert steps == [1, 10]  # 16 of a batch, or 45
    assert tiny("data.shards=1").identity({}) != tiny().identity({})
