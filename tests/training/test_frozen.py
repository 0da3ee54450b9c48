"""Kept logits: what would be said online; torn, made again; the same from any number of ranks."""

from __future__ import annotations

import struct
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from data_sharding.reader import ShardDataset
from tests.training.networks import CPU, preprocessor, weights
from tests.training.together import ranks
from training import frozen
from training.frozen import answers, for_groups
from training.stream import Group, Stream
from training.teachers import Teachers
from training.world import alone


class Counting(Teachers):
    """Teachers that count the pictures they were shown."""

    shown = 0

    def logits(self, images):
        self.shown += len(images)
        return super().logits(images)


@pytest.fixture
def teachers(tmp_path):
    """Two, of other sizes than the student's."""
    folders = [weights(tmp_path / "a", 0, size=32), weights(tmp_path / "b", 1, size=64)]
    return Counting.load(folders, CPU)


@pytest.fixture
def data(packs):
    return ShardDataset(packs["internal"], "train")


@pytest.fixture
def small(monkeypatch):
    """45 samples in six pieces."""
    monkeypatch.setattr(frozen, "PIECE", 8)
    monkeypatch.setattr(frozen, "BATCH", 3)


def kept(teachers, data, folder, world=None, rows=None):
    rows = np.arange(len(data)) if rows is None else rows
    return answers(teachers, data, rows, folder, world or alone(), tell=lambda _: None)


def files(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir())}


@pytest.mark.parametrize("kind", ["none", "weak", "strong"])
def test_kept_is_what_is_said_online(teachers, data, packs, tmp_path, kind):
    public = ShardDataset(packs["public"], "public")
    labels = data.index["label"].to_numpy(np.int64)
    groups = [Group(data, np.arange(45), labels)]
    groups += [Group(public, np.arange(c, 30, 3), np.full(10, c)) for c in (0, 1)]
    arguments = groups, (9, 4, 3), preprocessor(), kind, 7, alone()
    said = for_groups(teachers, groups, tmp_path / "logits", alone())
    assert teachers.shown == 2 * (45 + 20), "each picture that is needed twice, and no other"
    assert said[1] is said[2]
    online, cached = Stream(*arguments, weak=teachers.sizes), Stream(*arguments, said=said)
    seen = set()
    for epoch in range(2):
        for a, b in zip(online.epoch(epoch), cached.epoch(epoch), strict=True):
            assert b.weak == ()
            assert b.teacher is not None
            assert torch.equal(a.image, b.image)
            torch.testing.assert_close(teachers.answer(a.weak), b.teacher, rtol=0, atol=1e-5)
            seen |= set(b.teacher[:, 0].tolist())
    assert len(seen) > (65 if kind == "none" else 85) - 5, "answers differ, between views too"


def test_views_are_the_picture_and_its_mirror_image(teachers, data, tmp_path):
    rows = np.array([3, 30])
    found = kept(teachers, data, tmp_path / "logits", rows=rows)
    assert found.shape == (45, 2, 2)
    assert np.isnan(np.delete(found, rows, axis=0)).all()
    for row in rows:
        image = data.image(row)
        expected = teachers.logits(np.stack([image, np.fliplr(image)]))
        np.testing.assert_allclose(found[row], expected, atol=1e-5)


@pytest.mark.usefixtures("small")
def test_any_number_of_ranks_keeps_the_same_bytes(teachers, data, tmp_path):
    expected = kept(teachers, data, tmp_path / "1")
    for size in (2, 3, 7):
        folder = tmp_path / str(size)
        found = ranks(size, lambda world, to=folder: kept(teachers, data, to, world))
        for each in found:
            np.testing.assert_array_equal(each, expected)
        assert files(folder) == files(tmp_path / "1")


@pytest.mark.usefixtures("small")
def test_a_killed_one_goes_on_and_a_second_run_asks_nothing(teachers, data, tmp_path, monkeypatch):
    calm = kept(teachers, data, tmp_path / "calm")
    real, calls = frozen._ask, 0

    def dies(*arguments):
        nonlocal calls
        calls += 1
        if calls == 4:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(frozen, "_ask", dies)
    with pytest.raises(KeyboardInterrupt):
        kept(teachers, data, tmp_path / "killed")
    monkeypatch.setattr(frozen, "_ask", real)
    for pictures in (2 * (45 - 24), 0):
        teachers.shown = 0
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            np.testing.assert_array_equal(kept(teachers, data, tmp_path / "killed"), calm)
        assert teachers.shown == pictures
    assert files(tmp_path / "killed") == files(tmp_path / "calm")


def changed(path: Path, other: Path, how: str) -> None:
    data = bytearray(path.read_bytes())
    if how == "bit":
        data[-1] ^= 1
    path.write_bytes(
        {
            "bit": bytes(data),
            "cut": bytes(data[:-7]),
            "empty": b"",
            "text": b"not tensors at all",
            "header": struct.pack("<Q", 1 << 60) + bytes(data[8:]),
            "large": bytes(data) + bytes(1 << 16),
            "other": other.read_bytes(),
        }[how]
    )


HOSTILE = ["bit", "cut", "empty", "text", "header", "large", "other"]


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("how", HOSTILE)
def test_a_torn_or_foreign_file_is_said_and_made_again(teachers, data, tmp_path, how):
    folder = tmp_path / "logits"
    calm = kept(teachers, data, folder)
    before = files(folder)
    # Any but the shorter last piece: the next one's answers would fit in shape.
    whole = [
        p for p in sorted(folder.iterdir()) if len(before[p.name]) == max(map(len, before.values()))
    ]
    changed(whole[0], whole[1], how)
    teachers.shown = 0
    with pytest.warns(UserWarning, match="torn, computed again"):
        np.testing.assert_array_equal(kept(teachers, data, folder), calm)
    assert teachers.shown == 2 * 8, "no other piece"
    assert files(folder) == before


def test_other_teachers_and_other_data_have_files_of_their_own(teachers, data, packs, tmp_path):
    folder = tmp_path / "logits"
    first = kept(teachers, data, folder)
    one = Counting.load([tmp_path / "a"], CPU)
    second = kept(one, data, folder)
    assert not np.allclose(first, second)
    kept(one, ShardDataset(packs["external"]), folder)
    kept(one, data, folder, rows=np.arange(3))
    assert len(files(folder)) == 4


def test_answers_that_are_no_numbers_stop_it_and_are_not_kept(data, tmp_path):
    one = Teachers.load([weights(tmp_path / "a", gain=float("inf"))], CPU)
    with pytest.raises(ValueError, match=data.key(0)):
        kept(one, data, tmp_path / "logits")
    assert files(tmp_path / "logits") == {}


@pytest.mark.usefixtures("small")
def test_a_rank_that_fails_stops_all(teachers, data, tmp_path):
    class Worse(Counting):
        def logits(self, images):
            raise OSError("no more memory")

    asked = teachers, Worse(teachers.members, CPU)
    first, second = ranks(
        2, lambda world: kept(asked[world.rank], data, tmp_path / "logits", world)
    )
    assert isinstance(second, OSError)
    assert isinstance(first, ValueError)
    assert "worker 1" in str(first)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("size", [1, 2])
def test_asked_to_stop_it_stops_between_two_rounds(teachers, data, tmp_path, size):
    groups = [Group(data, np.arange(45), data.index["label"].to_numpy(np.int64))]
    calls = []

    def stops(world):
        def breathe():
            calls.append(world.rank)
            mine = world.main and len(files(tmp_path / "logits")) >= 2
            if world.agree(torch.tensor([mine])).any():
                raise InterruptedError

        with pytest.raises(InterruptedError):
            for_groups(teachers, groups, tmp_path / "logits", world, breathe)

    assert ranks(size, stops) == [None] * size
    assert len(files(tmp_path / "logits")) == 2, "of six, and those are kept"
    assert sorted(calls) == ([0, 0] if size == 1 else [0, 1])
    teachers.shown = 0
    for_groups(teachers, groups, tmp_path / "logits", alone())
    assert teachers.shown == 2 * (45 - 2 * 8)
