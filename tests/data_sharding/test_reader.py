from __future__ import annotations

import hashlib
import io
import json
import pickle
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import webdataset

from data_sharding.reader import ShardDataset, npy_header, verify
from data_sharding.schema import INDEX_COLUMNS, Manifest, Sample
from data_sharding.shards import ShardWriter, write_index


@pytest.fixture
def copy(packed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(packed, tmp_path / "copy"))


def forge_index(folder: Path, change) -> None:
    """Replace the index by a changed one whose hash the manifest vouches for."""
    index = pd.read_parquet(folder / "index.parquet")
    sha256 = write_index(folder, change(index).to_dict("records"))
    manifest = Manifest.load(folder)
    manifest.model_copy(update={"index_sha256": sha256}).save(folder)


def test_every_sample_is_what_the_tar_holds(packed):
    data = ShardDataset(packed)
    assert tuple(data.index.columns) == INDEX_COLUMNS
    assert len(data) == sum(shard.samples for shard in data.manifest.shards)
    members: dict[str, bytes] = {}
    for shard in data.manifest.shards:
        with tarfile.open(packed / shard.path) as tar:
            for member in tar:
                assert (member.mtime, member.uid, member.gid, member.uname) == (0, 0, 0, "")
                extracted = tar.extractfile(member)
                assert extracted is not None
                members[member.name] = extracted.read()
    assert len(members) == 2 * len(data)
    for i, key in enumerate(data.index["key"]):
        image, sample = data.image(i), data.sample(i)
        assert np.array_equal(image, np.load(io.BytesIO(members[f"{key}.npy"])))
        assert sample == Sample.model_validate_json(members[f"{key}.json"])
        assert hashlib.sha256(image.tobytes()).hexdigest() == data.index["pixels_sha256"][i]
        assert (sample.key, sample.split) == (key, data.index["split"][i])
        assert sample.label == data.index["label"][i]


def test_the_webdataset_library_reads_every_sample(packed):
    data = ShardDataset(packed)
    urls = [str(packed / shard.path) for shard in data.manifest.shards]
    seen = list(webdataset.WebDataset(urls, shardshuffle=False).decode())
    assert [s["__key__"] for s in seen] == data.index["key"].tolist()
    for i, sample in enumerate(seen):
        assert np.array_equal(sample["npy"], data.image(i))
        assert sample["json"] == json.loads(data.sample(i).model_dump_json())


def test_pictures_are_views_and_read_only(packed):
    image = ShardDataset(packed).image(0)
    assert (image.shape, image.dtype) == ((32, 32), np.uint8)
    assert not image.flags.owndata
    assert not image.flags.writeable


def test_splits_filter(packed):
    whole, train = ShardDataset(packed), ShardDataset(packed, "train")
    assert 0 < len(train) < len(whole)
    assert train.index.index.tolist() == list(range(len(train)))
    assert train.sample(0).split == "train"
    with pytest.raises(ValueError, match="no split 'valid'; it has test, train, tune"):
        ShardDataset(packed, "valid")


def test_it_travels_between_processes(packed):
    data = ShardDataset(packed)
    want = data.image(3).copy()
    assert np.array_equal(pickle.loads(pickle.dumps(data)).image(3), want)


def test_verify_names_the_bad_file(copy):
    assert verify(copy) == []
    shard = copy / Manifest.load(copy).shards[1].path
    raw = bytearray(shard.read_bytes())
    raw[5000] ^= 1
    shard.write_bytes(raw)
    (copy / "ledger.csv").unlink()
    wrong = verify(copy)
    assert [shard.name in wrong[0], "ledger.csv" in wrong[1], len(wrong)] == [True, True, 2]


def test_a_changed_index_is_refused(copy):
    path = copy / "index.parquet"
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(ValueError, match="sha256"):
        ShardDataset(copy)


@pytest.mark.parametrize("offset", [-1, -512, 3, 1024, 10**9, 2**62])
@pytest.mark.parametrize("column", ["npy_offset", "json_offset"])
def test_hostile_offsets(copy, offset, column):
    forge_index(copy, lambda index: index.assign(**{column: offset}))
    data = ShardDataset(copy)
    with pytest.raises(ValueError, match="sample"):
        data.image(0) if column == "npy_offset" else data.sample(0)


@pytest.mark.parametrize("size", [-1, 0, 1, 2**62])
def test_hostile_sizes(copy, size):
    forge_index(copy, lambda index: index.assign(npy_size=size, json_size=size))
    data = ShardDataset(copy)
    with pytest.raises(ValueError, match="sample"):
        data.image(0)
    with pytest.raises(ValueError, match="sample"):
        data.sample(0)


def test_a_shard_that_is_not_listed(copy):
    forge_index(copy, lambda index: index.assign(shard="../../etc/passwd"))
    with pytest.raises(ValueError, match="not those of the manifest"):
        ShardDataset(copy)


def test_a_manifest_that_points_elsewhere(copy):
    raw = json.loads((copy / "manifest.json").read_text())
    raw["index"] = "../index.parquet"
    (copy / "manifest.json").write_text(json.dumps(raw))
    with pytest.raises(ValueError, match="not a file beside it"):
        ShardDataset(copy)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((32, 32), np.uint16),
        np.zeros((32, 33), np.uint8),
        np.array([{"a": object}], dtype=object),
    ],
)
def test_other_arrays_and_pickles_are_refused(copy, array):
    data = ShardDataset(copy)
    out = io.BytesIO()
    np.save(out, array, allow_pickle=True)
    shard = copy / data.index["shard"][0]
    raw = bytearray(shard.read_bytes())
    at, size = int(data.index["npy_offset"][0]), int(data.index["npy_size"][0])
    raw[at : at + size] = out.getvalue()[:size].ljust(size, b"\0")
    shard.write_bytes(raw)
    with pytest.raises(ValueError, match=r"is not a uint8 array of \(32, 32\)"):
        data.image(0)


def test_a_short_shard(copy):
    shard = copy / Manifest.load(copy).shards[0].path
    shard.write_bytes(shard.read_bytes()[:-512])
    data = ShardDataset(copy)
    with pytest.raises(ValueError, match=shard.name):
        data.image(0)


def test_npy_headers_are_numpys():
    out = io.BytesIO()
    np.save(out, np.zeros((5, 7), np.uint8))
    assert npy_header((5, 7), "uint8") == out.getvalue()[: -5 * 7]


def test_a_crash_leaves_no_shard(packed, tmp_path):
    sample, image = ShardDataset(packed).sample(0), ShardDataset(packed).image(0)

    def crash() -> None:
        with ShardWriter(tmp_path, 8) as writer:
            writer.add(sample, image)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        crash()
    assert list(tmp_path.iterdir()) == []
