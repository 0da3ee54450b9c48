from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from data_sharding.pack import pack
from data_sharding.reader import ShardDataset, verify
from data_sharding.rearrange import merge, parse_fractions, split
from tests.conftest import pack_pictures
from tests.data_sharding.hand_made import make_site, radiograph, texture


@pytest.fixture(scope="module")
def pair(tmp_path_factory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("pair")
    sizes = {"train": 21, "tune": 5, "test": 9}
    return (
        pack_pictures(root / "a", "a", "internal", sizes, size=24),
        pack_pictures(root / "b", "b", "internal", sizes, size=24, seed=1),
    )


def test_a_merged_dataset_has_every_sample_unchanged(pair, tmp_path):
    merged = merge(pair, tmp_path / "both", "both", lambda _: None)
    assert verify(tmp_path / "both") == []
    both, before = ShardDataset(tmp_path / "both"), [ShardDataset(p) for p in pair]
    assert Counter(both.index["split"]) == {"train": 42, "tune": 10, "test": 18}
    pictures = {d.sample(i).key: (d.sample(i), d.image(i)) for d in before for i in range(len(d))}
    for i in range(len(both)):
        sample, picture = pictures.pop(both.sample(i).key)
        assert sample == both.sample(i)
        assert np.array_equal(picture, both.image(i))
    assert not pictures
    assert [f.step for f in merged.flow] == ["a: drawn", "b: drawn", "samples merged"]


def test_what_was_packed_otherwise_is_not_merged(pair, tmp_path):
    other = pack_pictures(tmp_path / "c", "c", "internal", {"train": 4}, size=32)
    with pytest.raises(ValueError, match=r"image_shape \(32, 32\)"):
        merge([pair[0], other], tmp_path / "o", "o")
    external = pack_pictures(tmp_path / "d", "d", "external", {"external": 4}, size=24)
    with pytest.raises(ValueError, match="role external"):
        merge([pair[0], external], tmp_path / "o", "o")
    with pytest.raises(ValueError, match="share the sample"):
        merge([pair[0], pair[0]], tmp_path / "o", "o")
    with pytest.raises(ValueError, match="not empty"):
        merge(pair, pair[0], "o")
    assert not (tmp_path / "o").exists()


def test_a_patient_in_two_splits_is_not_merged(key_file, tmp_path):
    """A hospital packs its second export with the same key, and another seed."""
    quiet = {"size": 32, "workers": 1, "screen": False, "key_file": key_file, "name": "asan"}
    for seed in (0, 1):
        site = make_site(tmp_path / f"site{seed}", patients=20)
        for n in range(20):
            tags = {"PatientID": f"HOSP-{n:04d}", "SOPInstanceUID": f"1.2.9.{seed}.{n}"}
            radiograph(site / "dicom" / f"HOSP-{n:04d}" / "image", texture(n + 99 * seed), **tags)
        pack(site, tmp_path / f"{seed}", seed=seed, echo=lambda _: None, **quiet)
    with pytest.raises(ValueError, match="Pack both sites together"):
        merge([tmp_path / "0", tmp_path / "1"], tmp_path / "o", "o")


def test_split_anew(pair, tmp_path):
    out = tmp_path / "new"
    manifest = split(pair[0], out, "train=0.8,test=0.2", seed=3, echo=lambda _: None)
    assert verify(out) == []
    index, before = ShardDataset(out).index, ShardDataset(pair[0]).index
    assert set(index["key"]) == set(before["key"])
    assert (index.groupby("patient")["split"].nunique() == 1).all()
    share = (index["split"] == "test").mean()
    assert 0.1 < share < 0.3
    assert manifest.settings["fractions"] == {"train": 0.8, "test": 0.2}
    again = split(pair[0], tmp_path / "again", "train=0.8,test=0.2", seed=3, echo=lambda _: None)
    assert again == manifest
    other = split(pair[0], tmp_path / "other", "train=0.8,test=0.2", seed=4, echo=lambda _: None)
    assert other.index_sha256 != manifest.index_sha256


@pytest.mark.parametrize(
    "text", ["", "train", "train=1,dev=0", "train=0.5,test=0.6", "train=nan,test=1", "train=-1"]
)
def test_fractions_that_are_none(text):
    with pytest.raises(ValueError, match="fractions"):
        parse_fractions(text)
