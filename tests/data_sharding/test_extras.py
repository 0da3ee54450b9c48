"""Arrays beside a picture: written, read, moved and fetched; what is not as declared is refused."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import webdataset

from data_sharding.batches import Batches
from data_sharding.extras import Extra
from data_sharding.order import Plan
from data_sharding.reader import ShardDataset, verify
from data_sharding.rearrange import merge, split
from data_sharding.schema import Manifest, Sample, sha256_file
from data_sharding.storage.cache import Cache
from data_sharding.storage.tarcheck import check_tar
from tests.data_sharding.many import beside, key, make_few, picture
from tests.data_sharding.storage.test_tarcheck import members, write

SHAPE = (8, 8, 3)
EXTRAS = (
    Extra(name="crop", shape=(5, 4, 3), dtype="uint8"),
    Extra(name="landmarks", shape=(468, 3), dtype="float32"),
    Extra(name="depth", shape=(7,), dtype="uint16"),
)


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_few(tmp_path_factory.mktemp("extras") / "few", 20, 6, SHAPE, extras=EXTRAS)


@pytest.fixture
def there(few, tmp_path) -> Path:
    return Path(shutil.copytree(few, tmp_path / "copy"))


def assert_all_there(data: ShardDataset) -> None:
    for i in range(len(data)):
        number = int(data.key(i)[1:])
        assert np.array_equal(data.image(i), picture(number, SHAPE))
        for extra in EXTRAS:
            found = data.extra(i, extra.name)
            assert found.dtype == extra.dtype
            assert np.array_equal(found, beside(number, extra))
            assert not found.flags.writeable
        assert data.sample(i).key == data.key(i)


def test_what_was_written_is_read_with_no_copy(few):
    data = ShardDataset(few)
    assert_all_there(data)
    assert data.extra(3, "crop").base is not None
    assert_all_there(data.only(np.array([17, 2, 2, 9])))
    assert_all_there(pickle.loads(pickle.dumps(data)))
    assert verify(few) == []


def test_one_that_is_not_there_is_named(few, tmp_path):
    with pytest.raises(ValueError, match=r"no extra 'hair' .* but crop, landmarks, depth"):
        ShardDataset(few).extra(0, "hair")
    with pytest.raises(ValueError, match=r"no extra 'crop' .* but none"):
        ShardDataset(make_few(tmp_path / "none", 1)).extra(0, "crop")


def test_the_webdataset_library_reads_the_same(few):
    data = ShardDataset(few)
    urls = [str(few / s.path) for s in data.manifest.shards]
    found = list(webdataset.WebDataset(urls, shardshuffle=False).decode())
    assert [sample["__key__"] for sample in found] == [data.key(i) for i in range(len(data))]
    for i, sample in enumerate(found):
        assert np.array_equal(sample["npy"], data.image(i))
        for extra in EXTRAS:
            assert np.array_equal(sample[f"{extra.name}.npy"], data.extra(i, extra.name))
        assert Sample.model_validate(sample["json"]) == data.sample(i)


def test_members_lie_in_the_order_of_the_manifest(few):
    data = ShardDataset(few)
    names = [name for s in data.manifest.shards for name, _ in members(few / s.path)]
    kinds = ("npy", "crop.npy", "landmarks.npy", "depth.npy", "json")
    assert names == [f"{key(i)}.{kind}" for i in range(20) for kind in kinds]


def test_a_dataset_without_any_keeps_its_bytes_and_its_hash(tmp_path):
    plain = Manifest.load(make_few(tmp_path / "plain", 5, 2))
    # as they were before there were extras and poses
    assert [s.sha256[:16] for s in plain.shards] == OLD
    assert "extras" not in json.loads((tmp_path / "plain" / "manifest.json").read_text())
    said = plain.model_dump(mode="json")
    assert list(said)[7:9] == ["image_dtype", "key_id"]
    canonical = json.dumps(said, sort_keys=True, separators=(",", ":"))
    assert plain.hash == hashlib.sha256(canonical.encode()).hexdigest()
    sample = ShardDataset(tmp_path / "plain").sample(0)
    assert "pose" not in sample.model_dump(mode="json")
    assert sample.model_copy(update={"pose": (1.0, -2.5, 0.0)}).model_dump()["pose"]


OLD = ["14d334738125af92", "f6f829a5704c0a13", "9457451a1438dbaa"]


def test_extras_are_part_of_the_hash(few):
    manifest = Manifest.load(few)
    assert manifest.extras == EXTRAS
    others = [
        manifest.model_copy(update={"extras": EXTRAS[:2]}),
        manifest.model_copy(update={"extras": EXTRAS[::-1]}),
        manifest.model_copy(update={"extras": ()}),
    ]
    assert len({manifest.hash, *(other.hash for other in others)}) == 4


def test_they_go_with_their_samples_when_datasets_are_rearranged(few, tmp_path):
    quiet = {"echo": lambda _: None}
    parts = split(few, tmp_path / "s", "train=0.5,test=0.5", 0, **quiet)
    assert parts.extras == EXTRAS
    assert_all_there(ShardDataset(tmp_path / "s"))
    assert verify(tmp_path / "s") == []
    other = make_few(tmp_path / "o", 3, 2, SHAPE, "other", EXTRAS)
    plain = make_few(tmp_path / "p", 3, 2, SHAPE, "plain")
    with pytest.raises(ValueError, match="share the sample"):
        merge([few, other], tmp_path / "m", "both", **quiet)
    with pytest.raises(ValueError, match="extras"):
        merge([few, plain], tmp_path / "m", "both", **quiet)


def test_from_an_object_store(few, tmp_path):
    cache = Cache(tmp_path / "cache", 10**9)
    assert_all_there(ShardDataset(f"file://{few}", cache=cache))


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_bring_those_that_are_asked_for(few, workers):
    data = ShardDataset(few)
    plan = Plan((20,), slots=(8,), seed=1, identity="x")
    names = ("landmarks", "crop")
    with Batches([data], plan, workers=workers, extras=names, copy=True) as batches:
        served = list(batches.epoch(0))
    assert sorted(row for b in served for row in b.ids[b.real, 1].tolist()) == list(range(20))
    for batch in served:
        assert tuple(batch.extras) == names
        for n, ((_, row), real) in enumerate(zip(batch.ids.tolist(), batch.real, strict=True)):
            for extra in (EXTRAS[1], EXTRAS[0]):
                found = batch.extras[extra.name][n]
                assert found.dtype == extra.dtype
                want = beside(row, extra) if real else np.zeros(extra.shape)
                assert np.array_equal(found, want)
    assert not all(b.real.all() for b in served), "a padded one is among them"


def test_batches_without_any_and_with_those_that_are_not_there(few, tmp_path):
    data = ShardDataset(few)
    plan = Plan((20,), slots=(8,), seed=1, identity="x")
    with Batches([data], plan) as batches:
        assert next(batches.epoch(0)).extras == {}
    with pytest.raises(ValueError, match="extra 'hair': not there"):
        Batches([data], plan, extras=("hair",))
    wider = (EXTRAS[0].model_copy(update={"shape": (9,)}),)
    other = ShardDataset(make_few(tmp_path / "other", 5, 5, SHAPE, "other", wider))
    two = Plan((20, 5), slots=(4, 4), seed=1, identity="x")
    with pytest.raises(ValueError, match="extra 'crop': not there, or not alike"):
        Batches([data, other], two, extras=("crop",))


def test_a_store_s_tar_without_them_is_not_taken(there, tmp_path):
    tell(there, extras=[])
    data = ShardDataset(f"file://{there}", cache=Cache(tmp_path / "cache", 10**9))
    with pytest.raises(ValueError, match=r"crop\.npy'?: not KEY\.npy, KEY\.json"):
        data.image(0)


def tell(folder: Path, **changes) -> None:
    """Have the manifest say something else."""
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


CROP = EXTRAS[0].model_dump(mode="json")
IMPOSSIBLE = {
    "a folder in the name": [CROP | {"name": "../crop"}],
    "a slash": [CROP | {"name": "a/b"}],
    "a dot": [CROP | {"name": "a.b"}],
    "capitals": [CROP | {"name": "Crop"}],
    "no name": [CROP | {"name": ""}],
    "a long name": [CROP | {"name": "a" * 80}],
    "another alphabet": [CROP | {"name": "сrop"}],
    "a number of no pixels": [CROP | {"shape": [0, 4]}],
    "a negative side": [CROP | {"shape": [-1, -4]}],
    "more than there is memory": [CROP | {"shape": [1 << 40, 1 << 40]}],
    "sides without end": [CROP | {"shape": [1] * 400}],
    "no sides": [CROP | {"shape": []}],
    "half a pixel": [CROP | {"shape": [2.5]}],
    "objects": [CROP | {"dtype": "object"}],
    "another dtype": [CROP | {"dtype": "float64"}],
    "the same twice": [CROP, CROP],
    "very many": [CROP | {"name": f"x{n}"} for n in range(9)],
    "something else": [CROP | {"run": "rm -rf"}],
    "no list": {"crop": CROP},
}


@pytest.mark.parametrize("extras", IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_a_manifest_with_impossible_extras_is_refused(there, extras):
    tell(there, extras=extras)
    with pytest.raises(ValueError, match="manifest"):
        ShardDataset(there)


@pytest.mark.parametrize(
    "wrong",
    [
        [CROP | {"shape": [4, 5, 3]}, *EXTRAS[1:]],
        [CROP | {"dtype": "uint16"}, *EXTRAS[1:]],
        [CROP | {"shape": [1 << 20, 20]}],
        [EXTRAS[1], EXTRAS[0], EXTRAS[2]],
    ],
    ids=["shape", "dtype", "beyond the end", "order"],
)
def test_a_manifest_that_declares_others_than_there_are_is_found_out(there, wrong):
    tell(there, extras=[e if isinstance(e, dict) else e.model_dump(mode="json") for e in wrong])
    data = ShardDataset(there)
    first = data.manifest.extras[0]
    with pytest.raises(ValueError, match=rf"no {first.dtype} array .* called {first.name}"):
        data.extra(5, first.name)
    assert verify(there)


def test_an_index_that_points_elsewhere_is_found_out(there):
    from data_sharding.packing.shards import write_index

    index = ShardDataset(there).index.astype(object)
    rows = index.where(index.notna(), None).to_dict("records")
    for shift in (512, -512, 1, 10**12, -(10**12)):
        moved = [row | {"npy_offset": row["npy_offset"] + shift} for row in rows]
        tell(there, index_sha256=write_index(there, moved))
        data = ShardDataset(there)
        for name in ("crop", "landmarks", "depth"):
            with pytest.raises(ValueError, match=f"called {name}"):
                data.extra(19, name)


def npy(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


NAME = key(0)
HOSTILE = {
    "missing": (lambda f: [*f[:1], *f[2:]], f"{NAME} has no crop.npy"),
    "of another sample": (lambda f: [f[0], (f"{key(1)}.crop.npy", f[1][1]), *f[2:]], "beside"),
    "twice": (lambda f: [*f[:2], f[1], *f[2:]], "crop.npy is there twice"),
    "in another order": (lambda f: [f[0], f[2], f[1], *f[3:]], "not in the manifest's order"),
    "behind the facts": (lambda f: [f[0], *f[2:5], f[1], *f[5:]], "not in the manifest's order"),
    "one more": (lambda f: [*f[:2], (f"{NAME}.hair.npy", f[1][1]), *f[2:]], "hair.npy.*not KEY"),
    "a picture": (
        lambda f: [*f[:4], (f"{NAME}.png", b"\x89PNG\r\n\x1a\n"), *f[4:]],
        "not in the manifest's order",
    ),
    "another dtype": (
        lambda f: [f[0], (f[1][0], npy(np.zeros((5, 4, 3), np.int8))), *f[2:]],
        "not an array of the shape and type",
    ),
    "another shape": (
        lambda f: [f[0], (f[1][0], npy(np.zeros((3, 4, 5), np.uint8))), *f[2:]],
        "not an array of the shape and type",
    ),
    "longer": (lambda f: [f[0], (f[1][0], f[1][1] + b"x"), *f[2:]], "bytes, not the"),
    "a pickle": (
        lambda f: [f[0], (f[1][0], pickle.dumps({}).ljust(len(f[1][1]))), *f[2:]],
        "not an array of the shape and type",
    ),
    "a slash": (lambda f: [f[0], (f"{NAME}.a/crop.npy", f[1][1]), *f[2:]], "not KEY"),
    "code": (lambda f: [*f, (f"{NAME}.crop.pyd", b"x")], "not KEY"),
}


@pytest.mark.parametrize(("trick", "why"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_tars_are_refused_by_name(few, tmp_path, trick, why):
    whole = few / Manifest.load(few).shards[0].path
    files = members(whole)
    assert len(check_tar(write(tmp_path / "a.tar", files), SHAPE, extras=EXTRAS)) == 6
    path = write(tmp_path / "b.tar", trick(files))
    with pytest.raises(ValueError, match=why):
        check_tar(path, SHAPE, extras=EXTRAS)


def test_a_tar_with_extras_is_none_without_them(few):
    path = few / Manifest.load(few).shards[0].path
    with pytest.raises(ValueError, match="not KEY"):
        check_tar(path, SHAPE)


def test_bytes_changed_within_an_extra_are_noticed(there):
    data = ShardDataset(there)
    shard = there / data.manifest.shards[0].path
    raw = bytearray(shard.read_bytes())
    at = raw.index(beside(0, EXTRAS[1]).tobytes()) + 40
    raw[at] ^= 1
    shard.write_bytes(raw)
    with pytest.raises(ValueError, match="not the bytes that were packed"):
        ShardDataset(there).extra(0, "crop")
    assert "sha256 differs" in verify(there)[0]


def test_equal_samples_give_equal_bytes(few, tmp_path):
    again = make_few(tmp_path / "again", 20, 6, SHAPE, extras=EXTRAS)
    assert [sha256_file(p) for p in sorted(again.iterdir())] == [
        sha256_file(p) for p in sorted(few.iterdir())
    ]


def test_sizes_that_fill_whole_blocks_leave_no_gap(tmp_path):
    """The header takes 128 bytes: 384 more fill a block of a tar to its end."""
    exact = (
        Extra(name="a", shape=(384,), dtype="uint8"),
        Extra(name="b", shape=(1,), dtype="uint8"),
    )
    folder = make_few(tmp_path / "exact", 3, 2, (16, 24), extras=exact)
    data = ShardDataset(folder)
    for i in range(3):
        assert data.extra(i, "a").tolist() == beside(i, exact[0]).tolist()
        assert data.extra(i, "b").tolist() == beside(i, exact[1]).tolist()
    assert verify(folder) == []
