"""From the key of a packed sample to its anatomy, through real DICOM, packer and keys."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from data_sharding.pack import pack
from data_sharding.phantom.atlas import Atlas
from data_sharding.phantom.masks import REGIONS
from data_sharding.phantom.world import make_world
from data_sharding.reader import ShardDataset

SETTINGS = {"seed": 5, "internal": 14, "external": 12, "public": 30, "size": 128}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    out = tmp_path_factory.mktemp("known") / "world"
    make_world(out, **SETTINGS, confounder=0.7, workers=1)
    return out


@pytest.fixture(scope="module")
def packs(world, tmp_path_factory):
    """Every site packed at 160 pixels with the world's key, under names of its own or another."""
    root = tmp_path_factory.mktemp("shards")
    quiet = {"size": 160, "workers": 1, "echo": lambda _: None, "screen": False}
    key = {"key_file": world / "pseudonym.key"}
    pack(world / "asan", root / "asan", **quiet, **key)
    pack(world / "north", root / "elsewhere", name="elsewhere", role="external", **quiet, **key)
    pack(world / "public", root / "public", role="public", **quiet, **key)
    pack(world / "asan", root / "own", **quiet)
    return root


@pytest.mark.parametrize("name", ["asan", "elsewhere", "public", "own"])
def test_every_sample_of_a_pack_is_known_and_is_its_own_picture(world, packs, name):
    """`own` was packed with a key of its own, which lies in its private folder."""
    data = ShardDataset(packs / name)
    atlas = Atlas(world / "world.json", packs / name)
    seen = 0
    assert len(data) > 3
    for i in range(len(data)):
        atlas.check(data.key(i), data.image(i))
        parts = atlas.shares(data.key(i), 160)
        assert tuple(parts) == REGIONS
        assert np.abs(sum(parts.values()) - 1).max() < 1e-5
        white = data.image(i)[parts["marker"] > 1 - 1e-5]
        assert (white == 255).all()
        seen += white.size
        air = data.image(i)[parts["outside"] > 1 - 1e-5]
        assert not air.size or air.mean() < 4
    assert seen  # a thin letter may cover no pixel whole, but not in all pictures


def test_pictures_kept_in_16_bits_are_known_too(world, tmp_path):
    quiet = {"size": 96, "workers": 1, "echo": lambda _: None, "screen": False}
    key = {"key_file": world / "pseudonym.key"}
    pack(world / "asan", tmp_path / "deep", pixels="cxr16/1", **quiet, **key)
    data, atlas = ShardDataset(tmp_path / "deep"), Atlas(world, tmp_path / "deep")
    assert len(data) > 3
    for i in range(len(data)):
        assert data.image(i).dtype == np.uint16
        atlas.check(data.key(i), data.image(i))
        with pytest.raises(ValueError, match="grey levels off"):
            atlas.check(data.key(i), data.image((i + 1) % len(data)))


def test_another_patients_picture_is_refused(world, packs):
    data, atlas = ShardDataset(packs / "asan"), Atlas(world, packs / "asan")
    with pytest.raises(ValueError, match=r"grey levels off .* make it again"):
        atlas.check(data.key(0), data.image(1))
    with pytest.raises(ValueError, match="grey levels off"):
        atlas.check(data.key(0), data.image(0)[:, ::-1])
    assert "not a key" not in atlas
    with pytest.raises(KeyError):
        atlas.shares("not a key", 32)


def test_a_pack_of_another_key_or_world_is_not_guessed_at(world, packs, tmp_path):
    strange = tmp_path / "world"
    strange.mkdir()
    shutil.copy(world / "world.json", strange)
    with pytest.raises(ValueError, match="packed with another key"):
        Atlas(strange, packs / "asan")
    (strange / "pseudonym.key").write_text("ab" * 32)
    with pytest.raises(ValueError, match="packed with another key"):
        Atlas(strange, packs / "asan")
    (strange / "pseudonym.key").write_text("not a key")
    with pytest.raises(ValueError, match="not a key of 64 hex digits"):
        Atlas(strange, packs / "asan")
    other = json.loads((world / "world.json").read_text())
    other["settings"]["seed"] = 6  # another world under the same key
    (strange / "world.json").write_text(json.dumps(other))
    shutil.copy(world / "pseudonym.key", strange)
    assert ShardDataset(packs / "asan").key(0) not in Atlas(strange, packs / "asan")


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "{}", "null", '{"format": "osteoray-phantom/1"}', '{"format": "other/1"}'),
        '{"format": "osteoray-phantom/1", "settings": {"seed": 0}}',
        '{"format": "osteoray-phantom/1", "settings": {"seed": 0, "internal": 1000000000, '
        '"external": 0, "public": 0, "size": 64, "confounder": 0}}',
        '{"format": "osteoray-phantom/1", "settings": {"seed": 0, "internal": -1, '
        '"external": 0, "public": 0, "size": 64, "confounder": 0}}',
    ],
)
def test_what_is_no_world_is_said_in_one_line(packs, tmp_path, text):
    (tmp_path / "world.json").write_text(text)
    with pytest.raises(ValueError, match=r"^world\.json: not of a phantom world: .+") as said:
        Atlas(tmp_path, packs / "asan")
    assert "\n" not in str(said.value)
    with pytest.raises(ValueError, match=r"^nowhere: not of a phantom world: No such file"):
        Atlas(tmp_path / "nowhere", packs / "asan")
