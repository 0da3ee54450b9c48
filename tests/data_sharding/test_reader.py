from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import shutil
import tarfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import webdataset

from data_sharding import reader
from data_sharding.packing.shards import ShardWriter, write_index
from data_sharding.reader import ShardDataset, npy_header, verify
from data_sharding.schema import INDEX_COLUMNS, Manifest, Sample
from data_sharding.storage import stamps


@pytest.fixture
def copy(packed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(packed, tmp_path / "copy"))


def forge_index(folder: Path, change) -> None:
    """Replace the index by a changed one whose hash the manifest vouches for."""
    index = pd.read_parquet(folder / "index.parquet")
    changed = change(index).astype(object)
    sha256 = write_index(folder, changed.where(changed.notna(), None).to_dict("records"))
    manifest = Manifest.load(folder)
    manifest.model_copy(update={"index_sha256": sha256}).save(folder)


def forge_shard(folder: Path, number: int, at: int, data: bytes) -> None:
    """Write into a shard, with a manifest that vouches for it."""
    manifest = Manifest.load(folder)
    shard = manifest.shards[number]
    raw = bytearray((folder / shard.path).read_bytes())
    raw[at : at + len(data)] = data
    (folder / shard.path).write_bytes(raw)
    shards = list(manifest.shards)
    shards[number] = shard.model_copy(update={"sha256": hashlib.sha256(raw).hexdigest()})
    manifest.model_copy(update={"shards": tuple(shards)}).save(folder)


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
    at, size = int(data.index["npy_offset"][0]), int(data.index["npy_size"][0])
    forge_shard(copy, 0, at, out.getvalue()[:size].ljust(size, b"\0"))
    with pytest.raises(ValueError, match=r"is not a uint8 array of \(32, 32\)"):
        ShardDataset(copy).image(0)
    assert "is not an array of the shape and type" in verify(copy)[0]


def test_a_short_shard(copy):
    shard = copy / Manifest.load(copy).shards[0].path
    shard.write_bytes(shard.read_bytes()[:-512])
    data = ShardDataset(copy)
    with pytest.raises(ValueError, match=shard.name):
        data.image(0)


def test_a_shard_that_fails_its_hash_is_named_and_nothing_of_it_is_served(copy):
    data = ShardDataset(copy)
    bad = data.index["shard"][0]
    raw = bytearray((copy / bad).read_bytes())
    raw[-1] ^= 1  # far from every sample
    (copy / bad).write_bytes(raw)
    for i in range(len(data)):
        if data.index["shard"][i] == bad:
            with pytest.raises(ValueError, match=f"{bad}: not the bytes that were packed"):
                data.image(i)
            with pytest.raises(ValueError, match=f"{bad}: not the bytes that were packed"):
                data.sample(i)
        else:
            assert data.image(i).shape == (32, 32)


def test_a_shard_is_hashed_once_a_user_and_again_when_it_was_touched(copy, monkeypatch):
    hashed: list[str] = []
    real = stamps._hashes_to

    def counted(file, sha256):
        hashed.append(Path(file.name).name)
        return real(file, sha256)

    monkeypatch.setattr(stamps, "_hashes_to", counted)
    path = copy / Manifest.load(copy).shards[0].path
    ShardDataset(copy).image(0)
    ShardDataset(copy).image(0)
    assert len(hashed) == 2, "so new that it may change within one tick of the clock"
    monkeypatch.setattr(stamps, "SETTLED_NS", -1)
    ShardDataset(copy).image(0)
    ShardDataset(copy).image(0)
    assert len(hashed) == 3
    raw = bytearray(path.read_bytes())
    at = path.stat()
    raw[5000] ^= 1
    path.write_bytes(raw)
    os.utime(path, ns=(at.st_atime_ns, at.st_mtime_ns))  # same size, same inode, same date
    with pytest.raises(ValueError, match="sha256 differs"):
        ShardDataset(copy).image(0)
    assert len(hashed) == 4


def test_of_many_at_once_one_hashes_and_the_others_wait(copy, monkeypatch):
    monkeypatch.setattr(stamps, "SETTLED_NS", -1)
    path, real, hashed = copy / "train-00000.tar", stamps._hashes_to, []

    def slow(file, sha256):
        hashed.append(1)
        time.sleep(0.2)
        return real(file, sha256)

    def ask(_) -> bool:
        with path.open("rb") as file:
            return stamps.is_intact(path, file, sha256)

    monkeypatch.setattr(stamps, "_hashes_to", slow)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    with ThreadPoolExecutor(8) as pool:  # a lock between files, so between processes as well
        assert all(pool.map(ask, range(8)))
    assert len(hashed) == 1


def test_stamps_that_others_could_write_are_not_believed(copy, tmp_path, monkeypatch):
    monkeypatch.setenv("OSTEORAY_CACHE", str(tmp_path / "open"))
    folder = tmp_path / "open" / f"stamps-{os.getuid()}"
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    assert ShardDataset(copy).image(0).shape == (32, 32)
    assert not list(folder.iterdir())


def test_a_cache_that_cannot_be_written_costs_time_only(copy, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("OSTEORAY_CACHE", str(tmp_path / "file"))
    assert ShardDataset(copy).image(0).shape == (32, 32)


def test_no_home_no_cache(monkeypatch):
    for name in ("OSTEORAY_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("no home")))
    with pytest.raises(ValueError, match="set OSTEORAY_CACHE"):
        stamps.cache_home()


def test_the_index_stays_behind_when_a_dataset_travels(packed):
    data = pickle.loads(pickle.dumps(ShardDataset(packed, "train")))
    assert data._index is None
    assert data.key(2) == data.index["key"][2]
    assert data.index.equals(ShardDataset(packed, "train").index)


def test_memory_that_is_given_back_leaves_views_as_they_were(packed, monkeypatch):
    data, calm = ShardDataset(packed), ShardDataset(packed)
    monkeypatch.setattr(reader, "LOOK", 1)
    views = [data.image(i) for i in range(len(data))]
    assert sum(data._seen) == len(data)
    monkeypatch.setattr(reader, "RESIDENT", -1)
    monkeypatch.setattr(reader, "PICTURES", -1)
    views += [data.image(i) for i in range(len(data))]  # all seen: nobody looks
    data._seen = bytearray(len(data))
    views = [data.image(i) for i in range(len(data))]
    assert sum(data._seen) == 0, "given back after each"
    for i, view in enumerate(views):
        assert np.array_equal(view, calm.image(i))


@pytest.mark.parametrize("shape", [[], [0, 3], [-5, 5], [2**40, 2**40]])
def test_pictures_of_no_shape(copy, shape):
    raw = json.loads((copy / "manifest.json").read_text())
    raw["image_shape"] = shape
    (copy / "manifest.json").write_text(json.dumps(raw))
    with pytest.raises(ValueError, match="pictures of"):
        ShardDataset(copy)


def test_an_empty_shard_is_no_fault(copy):
    manifest = Manifest.load(copy)
    (copy / "train-99999.tar").write_bytes(bytes(10240))
    sha256 = hashlib.sha256(bytes(10240)).hexdigest()
    changes = {"path": "train-99999.tar", "samples": 0, "bytes": 10240, "sha256": sha256}
    empty = manifest.shards[0].model_copy(update=changes)
    manifest.model_copy(update={"shards": (*manifest.shards, empty)}).save(copy)
    assert verify(copy) == []


def test_verify_compares_the_index_with_the_tars(copy):
    forge_index(copy, lambda index: index.assign(key=index["key"].to_list()[::-1]))
    assert "says its samples lie elsewhere" in verify(copy)[0]


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
