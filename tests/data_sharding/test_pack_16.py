"""A dataset of 16 bits from end to end: packed, verified, read, merged, split, compared."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import webdataset

from data_sharding.batches import Batches
from data_sharding.extras import npy_header
from data_sharding.leaks import find, of_dataset
from data_sharding.ledger import Refused
from data_sharding.order import Plan
from data_sharding.pack import pack
from data_sharding.pictures.dicom import read_pixels
from data_sharding.pictures.shown import shown
from data_sharding.reader import ShardDataset
from data_sharding.rearrange import merge, split
from data_sharding.schema import Manifest, sha256_file
from data_sharding.storage.cache import Cache
from data_sharding.storage.tarcheck import check_tar
from data_sharding.storage.verify import verify
from tests.conftest import pack_pictures
from tests.data_sharding.pictures.test_cxr import averaged

SIZE = 40


@pytest.fixture(scope="module")
def both(site: Path, key_file: Path, tmp_path_factory) -> tuple[Path, Path]:
    """The hand-made site packed in 8 bits and in 16, under one key."""
    root = tmp_path_factory.mktemp("both")
    more = {"size": SIZE, "screen": False, "workers": 1, "key_file": key_file}
    for name, pixels in (("shallow", ""), ("deep", "cxr16/1")):
        pack(site, root / name, name="asan", pixels=pixels, echo=lambda _: None, **more)
    return root / "shallow", root / "deep"


def test_only_the_pixels_differ(both):
    shallow, deep = (ShardDataset(folder) for folder in both)
    facts = [c for c in shallow.index if not c.endswith(("_sha256", "_offset", "_size"))]
    assert shallow.index[facts].equals(deep.index[facts])
    kept = deep.manifest
    assert (kept.settings["pixels"], kept.image_dtype, kept.image_shape) == (
        *("cxr16/1", "uint16"),
        (SIZE, SIZE),
    )
    assert shallow.manifest.settings | {"pixels": "cxr16/1"} == kept.settings
    assert [verify(folder) for folder in both] == [[], []]
    for i in range(len(deep)):
        image, sample = deep.image(i), deep.sample(i)
        assert (image.dtype, image.shape) == (np.dtype("<u2"), (SIZE, SIZE))
        assert sample.pixels_sha256 == hashlib.sha256(image.astype("<u2").tobytes()).hexdigest()
        assert "grey scale kept in 16 bits" in sample.applied
        assert len(np.unique(image)) > 256


def test_a_sample_is_the_average_of_what_the_display_shows(both, site):
    deep = ShardDataset(both[1])
    wanted = []
    for path in (p for p in site.rglob("*") if p.is_file()):
        try:
            wanted.append(averaged(read_pixels(path).pixels.astype(np.float64), SIZE))
        except Refused:
            continue
    for i in range(len(deep)):
        off = min(np.abs(deep.image(i) - picture).max() for picture in wanted)
        assert off <= 0.5 + 1e-6


def test_the_webdataset_library_reads_it(both):
    data = ShardDataset(both[1])
    urls = [str(both[1] / s.path) for s in data.manifest.shards]
    found = list(webdataset.WebDataset(urls, shardshuffle=False).decode())
    assert len(found) == len(data)
    for i, sample in enumerate(found):
        np.testing.assert_array_equal(sample["npy"], data.image(i))


def test_another_way_of_keeping_is_another_dataset(both, site, key_file, tmp_path):
    with pytest.raises(ValueError, match="packed differently"):
        pack(site, both[1], name="asan", size=SIZE, screen=False, workers=1, key_file=key_file)
    with pytest.raises(ValueError, match="cxr/2 or cxr16/1"):
        pack(site, both[1].with_name("x"), pixels="cxr16/2")
    (tmp_path / "photos").mkdir()
    (tmp_path / "dxa.csv").touch()
    with pytest.raises(ValueError, match="face/1 or photo/1"):
        pack(tmp_path, both[1].with_name("x"), kind="face", pixels="cxr16/1")


def quiet(_: str) -> None:
    pass


def test_merged_and_split_as_it_is_and_never_with_eight_bits(both, tmp_path):
    folders = [
        pack_pictures(tmp_path / n, n, "internal", {"train": 9, "test": 4}, seed=s, pixels=p)
        for n, s, p in (("a", 0, "cxr16/1"), ("b", 1, "cxr16/1"), ("c", 2, "drawn/1"))
    ]
    merged = merge(folders[:2], tmp_path / "ab", "ab", quiet)
    assert (merged.image_dtype, merged.settings["pixels"]) == ("uint16", "cxr16/1")
    again = split(tmp_path / "ab", tmp_path / "anew", "train=0.5,test=0.5", 0, quiet)
    assert again.image_dtype == "uint16"
    assert verify(tmp_path / "ab") == verify(tmp_path / "anew") == []
    of = [
        {d.key(i): d.image(i).tobytes() for i in range(len(d))}
        for d in (ShardDataset(tmp_path / n) for n in ("a", "b", "ab", "anew"))
    ]
    assert of[0] | of[1] == of[2] == of[3]
    with pytest.raises(ValueError, match="image_dtype"):
        merge([folders[0], folders[2]], tmp_path / "no", "no", quiet)


@pytest.mark.parametrize("workers", [0, 1])
def test_batches_carry_it(tmp_path, workers):
    folder = pack_pictures(tmp_path / "a", "a", "internal", {"train": 11}, pixels="cxr16/1")
    cache = Cache(tmp_path / "cache", 1 << 30)
    for data in (ShardDataset(folder), ShardDataset(folder.as_uri(), cache=cache)):
        with Batches([data], Plan((11,), (4,), seed=0), workers=workers) as batches:
            for batch in batches.epoch(0):
                assert batch.images.dtype == np.uint16
                for image, (_, row), real in zip(batch.images, batch.ids, batch.real, strict=True):
                    want = data.image(int(row)) if real else np.zeros_like(image)
                    np.testing.assert_array_equal(image, want)
    flat = pack_pictures(tmp_path / "b", "b", "internal", {"train": 11})
    with pytest.raises(ValueError, match="uint16 and uint8"):
        Batches([ShardDataset(folder), ShardDataset(flat)], Plan((11, 11), (4, 4), seed=0))


def test_a_copy_is_found_whatever_depth_it_was_packed_in(both, nih_folder, tmp_path):
    """Real chests, eight bits here and sixteen there, under other names and keys."""
    small = tmp_path / "nih"
    (small / "images").mkdir(parents=True)
    table = next(nih_folder.glob("Data_Entry_2017_v2020*"))
    (small / table.name).symlink_to(table)
    for path in sorted((nih_folder / "images").iterdir())[::12]:
        (small / "images" / path.name).symlink_to(path)
    sides = []
    for name, role, pixels, size in (
        ("a", "public", "", 256),
        ("b", "external", "cxr16/1", 320),
    ):
        pack(
            *(small, tmp_path / name),
            **{"role": role, "pixels": pixels, "name": name, "size": size, "min_age": 0},
            **{"workers": 1, "echo": quiet},
        )
        sides.append(of_dataset(tmp_path / name))
    n = len(sides[0].keys)
    assert n >= 5
    data = ShardDataset(tmp_path / "b")
    assert all("widened from 8 to 16 bits (x257)" in data.sample(i).applied for i in range(n))
    assert all(shown(data.image(i)).std() > 20 for i in range(n))
    found = [leak for leak in find(sides) if leak.kind == "near"]
    assert {x.a.split("/")[0] + x.b.split("/")[0] for x in found} == {"ab"}
    assert len(found) == n


HEADERS = {
    "big endian": npy_header((SIZE, SIZE), "uint16").replace(b"<u2", b">u2"),
    "signed": npy_header((SIZE, SIZE), "uint16").replace(b"<u2", b"<i2"),
    "half floats": npy_header((SIZE, SIZE), "uint16").replace(b"<u2", b"<f2"),
    "objects": npy_header((SIZE, SIZE), "uint16").replace(b"'<u2'", b"'|O' "),
    "in columns": npy_header((SIZE, SIZE), "uint16").replace(b"False", b"True "),
    "bytes, as many": npy_header((SIZE, 2 * SIZE), "uint8"),
    "of another shape": npy_header((2 * SIZE, SIZE // 2), "uint16"),
    "version 2": npy_header((SIZE, SIZE), "uint16").replace(b"\x01\x00", b"\x02\x00", 1),
}


@pytest.mark.parametrize("header", HEADERS)
def test_other_headers_of_as_many_bytes_are_refused(both, tmp_path, header):
    """The tar, its hash and the index are what the manifest says: only the header is another."""
    good = npy_header((SIZE, SIZE), "uint16")
    bad = HEADERS[header].ljust(len(good))[: len(good)]
    assert len(bad) == len(good) != bad
    for path in both[1].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    said = json.loads((tmp_path / "manifest.json").read_text())
    shard = said["shards"][0]
    tar = tmp_path / shard["path"]
    tar.write_bytes(tar.read_bytes().replace(good, bad, 1))
    shard["sha256"] = sha256_file(tar)
    (tmp_path / "manifest.json").write_text(json.dumps(said))
    data = ShardDataset(tmp_path)
    with pytest.raises(ValueError, match="is not a uint16 array"):
        data.image(0)
    data.image(1)
    with pytest.raises(ValueError, match="shape and type"):
        check_tar(tar, (SIZE, SIZE), "uint16")
    assert len(verify(tmp_path)) == 1


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float16", ">u2", "object", "V2", "", 2, None])
def test_manifests_that_lie_about_the_type(both, tmp_path, dtype):
    for path in both[1].iterdir():
        (tmp_path / path.name).symlink_to(path)
    said = json.loads((both[1] / "manifest.json").read_text()) | {"image_dtype": dtype}
    (tmp_path / "manifest.json").unlink()
    (tmp_path / "manifest.json").write_text(json.dumps(said))
    if dtype == "uint8":  # a type there is, but not the one in the shards
        with pytest.raises(ValueError, match="is not a uint8 array"):
            ShardDataset(tmp_path).image(0)
        assert verify(tmp_path)
    else:
        for opened in (ShardDataset, Manifest.load, verify):
            with pytest.raises(ValueError, match="not an osteoray-manifest"):
                opened(tmp_path)
