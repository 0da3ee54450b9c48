from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from data_sharding.copies.alike import View, Views, compare, one_thread_each
from data_sharding.copies.near import COPY
from data_sharding.leaks import Leak, Side, find, lines, of_dataset, opposed
from data_sharding.pack import pack
from tests.bench.leaks import (
    EDITS,
    pairs,
    phantoms,
    pictures,
    recompressed,
    score,
    side,
)
from tests.bench.leaks import (
    packed as packed_picture,
)

SPLITS = ("train", "public", "tune", "test", "external")


def make_side(name: str, rows: list[tuple[str, str, str]], key_id: str = "k", **more: Any) -> Side:
    """Rows of (split, patient, hash); the pictures are noise, one for each hash."""

    def image(i: int) -> np.ndarray:
        seed = int.from_bytes(rows[i][2].encode(), "big")
        return np.random.default_rng(seed).integers(0, 256, (64, 64)).astype(np.uint8)

    splits, patients, hashes = ([row[c] for row in rows] for c in range(3))
    keys = [f"{n:03d}" for n in range(len(rows))]
    return Side(name, key_id, splits, keys, patients, hashes, more.get("image", image))


@pytest.fixture(scope="module")
def bodies(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[np.ndarray], list[str]]:
    return phantoms(tmp_path_factory.mktemp("world") / "world", 5)


@pytest.fixture(scope="module")
def chests(nih_folder: Path) -> tuple[list[np.ndarray], list[str]]:
    sources, who = pictures(nih_folder / "images")
    return sources[::18], who[::18]


def planted(images: tuple[list[np.ndarray], list[str]], kind: str) -> tuple[int, int, int]:
    """Copies planted, found, and false alarms."""
    sources, who = images
    rng = np.random.default_rng(1)
    edited = [packed_picture(EDITS[kind](x, rng)) for x in sources]
    hit, false = score(pairs([packed_picture(x) for x in sources], edited, who), who)
    return len(sources), hit, false


@pytest.mark.parametrize("kind", ["resized", "flipped", "cropped by 5-15% a side"])
def test_copies_of_phantoms(bodies, kind):
    n, hit, false = planted(bodies, kind)
    assert (hit, false) == (n, 0)


@pytest.mark.parametrize("kind", [k for k in EDITS if k not in ("histogram-equalised", "bordered")])
def test_copies_of_real_radiographs(chests, kind):
    n, hit, false = planted(chests, kind)
    assert (hit, false) == (n, 0)


def test_how_a_copy_was_made_is_said(bodies):
    rng = np.random.default_rng(2)
    source = bodies[0][0]
    first = packed_picture(source)
    for kind, how in (
        ("recompressed", "copied"),
        ("flipped", "flipped"),
        ("cropped by 5-15% a side", "cropped"),
        ("flipped, cropped, re-windowed, JPEG", "flipped and cropped"),
    ):
        other = packed_picture(EDITS[kind](source, rng))
        found = find([side("a", "train", [first], ["p"]), side("b", "test", [other], ["q"])])
        assert [(x.kind, x.how, x.a, x.b) for x in found] == [
            ("near", how, "a/train/00000", "b/test/00000")
        ]
        assert float(found[0].evidence.split()[-1]) >= COPY


def test_alignment_finds_the_cut(bodies):
    """What was cut off is read back from the alignment, to 1% of the side."""
    source = bodies[0][1]
    h, w = source.shape
    cut = source[round(0.05 * h) : round(0.9 * h), round(0.12 * w) : round(0.94 * w)]
    found = compare(View.of(packed_picture(cut)), View.of(packed_picture(source)))
    assert found is not None
    want = [[0.82, 0, 0.12 * 256], [0, 0.85, 0.05 * 256]]
    np.testing.assert_allclose(found.matrix, want, atol=2.56)
    assert found.overlap == pytest.approx(0.82 * 0.85, abs=0.02)


def naive(sides: list[Side]) -> set[tuple[str, str, str]]:
    """Kind and cells of what patients and hashes give away, pair by pair."""
    every = [
        (s, n, s.splits[i], s.patients[i], s.hashes[i], f"{s.name}/{s.splits[i]}")
        for n, s in enumerate(sides)
        for i in range(len(s.keys))
    ]
    out = set()
    for x, y in itertools.combinations(every, 2):
        learnt = {"train", "public"}
        if x[2] == y[2] or {x[2], y[2]} <= learnt:
            continue
        same = x[3] == y[3] and x[0].key_id == y[0].key_id
        first, second = sorted((x[5], y[5]))
        if same:
            out.add(("patient", first, second))
        elif x[4] == y[4]:
            out.add(("identical", first, second))
    return out


@pytest.mark.parametrize("seed", range(8))
def test_patients_and_pixels_against_all_pairs(seed):
    rng = np.random.default_rng(seed)
    sides = [
        make_side(
            name,
            [
                (SPLITS[rng.integers(5)], f"p{rng.integers(60)}", f"h{rng.integers(80)}")
                for _ in range(30)
            ],
            key_id=key_id,
        )
        for name, key_id in (("a", "k"), ("b", "k"), ("c", "other"))
    ]
    found = find(sides, near=False)
    assert {(x.kind, x.a.rsplit("/", 1)[0], x.b.rsplit("/", 1)[0]) for x in found} == naive(sides)
    assert {x.kind for x in found} == {"patient", "identical"}
    assert find(sides[::-1], near=False) == found
    assert list(found) == sorted(found)


@pytest.mark.parametrize("new", [{"a"}, {"b", "c"}, set(), {"a", "b", "c"}, None])
def test_only_what_is_new_is_looked_at(new, bodies):
    """The leaks of a run without `new`, less those between two others; pictures too."""
    images = [packed_picture(x) for x in bodies[0][:3]]
    mirrored = [np.ascontiguousarray(x[:, ::-1]) for x in images]
    sides = [
        Side("a", "k", ["train", "tune", "test"], list("012"), ["p", "q", "p"], list("uvw"), image)
        for image in [images.__getitem__]
    ]
    sides += [
        side("b", "external", mirrored, list("stu")),
        side("c", "public", images, list("qyz")),
    ]
    every = find(sides)
    assert {x.kind for x in every} == {"patient", "near"}
    fresh = {"a", "b", "c"} if new is None else new
    want = [x for x in every if {x.a.split("/")[0], x.b.split("/")[0]} & fresh]
    assert list(find(sides, new=new)) == want
    assert len(want) > 3 or not fresh


def test_pictures_that_no_pair_needs_are_not_read():
    """Old train pictures say nothing about new public ones; old test pictures do."""
    read: set[str] = set()

    def watched(name: str, splits: list[str]) -> Side:
        def image(i: int) -> np.ndarray:
            read.add(f"{name}/{splits[i]}")
            return np.random.default_rng(i).integers(0, 256, (64, 64)).astype(np.uint8)

        rows = [f"{name}{s}" for s in splits]
        return Side(name, name, splits, rows, rows, rows, image)

    find([watched("old", ["train", "tune", "test"]), watched("new", ["public"])], new={"new"})
    assert read == {"old/tune", "old/test", "new/public"}


@pytest.mark.parametrize("seed", range(4))
def test_new_datasets_against_all_pairs(seed):
    rng = np.random.default_rng(seed)
    sides = [
        make_side(name, [(SPLITS[rng.integers(5)], f"p{rng.integers(9)}", f"h{k}") for k in "123"])
        for name in "abcd"
    ]
    for new in ({"a"}, {"b", "d"}):
        got = {(x.kind, *cells(x)) for x in find(sides, new=new, near=False)}
        assert got == {x for x in naive(sides) if {x[1][0], x[2][0]} & new}


def cells(leak: Leak) -> tuple[str, str]:
    return leak.a.rsplit("/", 1)[0], leak.b.rsplit("/", 1)[0]


def test_many_copies_of_one_picture_are_all_named(bodies):
    """Giving up after pictures that are no copies does not stop at copies."""
    rng = np.random.default_rng(3)
    source, *others = bodies[0][:5]
    copies = [packed_picture(recompressed(source, rng)) for _ in range(9)]
    learnt = copies + [packed_picture(x) for x in others]
    found = find(
        [
            side("a", "train", learnt, [f"p{n}" for n in range(len(learnt))]),
            side("b", "test", [packed_picture(source)], ["q"]),
        ]
    )
    assert [x.a for x in found] == [f"a/train/{n:05d}" for n in range(9)]


def test_libraries_get_their_threads_back():
    opencvs = cv2.getNumThreads()
    cv2.setNumThreads(2)
    with threadpool_limits(2):  # the tests' own setting is one
        before = [x["num_threads"] for x in threadpool_info()]
        assert (cv2.getNumThreads(), max(before)) == (2, 2)
        with one_thread_each():
            assert cv2.getNumThreads() == 1
            assert {x["num_threads"] for x in threadpool_info()} == {1}
        assert cv2.getNumThreads() == 2
        assert before == [x["num_threads"] for x in threadpool_info()]
    cv2.setNumThreads(opencvs)


def test_views_forget_the_oldest():
    asked: list[int] = []

    def image(i: int) -> np.ndarray:
        asked.append(i)
        return np.full((8, 8), i, np.uint8)

    views = Views(image, most=2)
    for i in (0, 1, 0, 2, 0, 1):
        assert (views[i].small == i).all()
    assert asked == [0, 1, 2, 1]


def test_which_splits_must_not_meet():
    met = {frozenset(x) for x in itertools.product(SPLITS, repeat=2) if opposed(*x)}
    assert met == {frozenset(x) for x in itertools.combinations(SPLITS, 2)} - {
        frozenset({"train", "public"})
    }


def test_every_exact_copy_is_named():
    """Several judged copies of one learnt picture are a leak each."""
    rows = [("train", "p", "x"), ("test", "q", "x"), ("test", "r", "x"), ("tune", "s", "x")]
    found = find([make_side("a", rows)], near=False)
    assert [(x.kind, x.a, x.b) for x in found] == [
        ("identical", "a/test/001", "a/train/000"),
        ("identical", "a/test/001", "a/tune/003"),
        ("identical", "a/test/002", "a/train/000"),
        ("identical", "a/train/000", "a/tune/003"),
    ]
    assert "2 times" in found[1].evidence  # test/002 is the other


def test_one_patients_copies_are_the_patients_leak():
    rows = [("train", "p", "x"), ("test", "p", "x"), ("test", "p", "y")]
    found = find([make_side("a", rows)])
    assert [x.kind for x in found] == ["patient"]
    assert "1 in a/train" in found[0].evidence
    assert "2 in a/test" in found[0].evidence


def test_other_keys_are_other_patients():
    a, b = (make_side(n, [(s, "p", n)], key_id=n) for n, s in (("a", "train"), ("b", "external")))
    assert find([a, b]) == ()


def test_judged_pictures_are_copies_of_each_other_once(bodies):
    image = packed_picture(bodies[0][0])
    copy = np.ascontiguousarray(image[:, ::-1])
    found = find([side("a", "tune", [image], ["p"]), side("a", "external", [copy], ["q"])])
    assert [(x.kind, x.a, x.b) for x in found] == [("near", "a/external/00000", "a/tune/00000")]


def test_a_clean_pack_has_no_leaks_and_two_seeds_have(site, packed, key_file, tmp_path):
    assert find([of_dataset(packed)]) == ()
    assert find([of_dataset(packed), of_dataset(packed)], near=False) == ()
    quiet: Callable[[str], None] = lambda _: None  # noqa: E731
    other = tmp_path / "asan"
    pack(site, other, size=32, seed=1, screen=False, key_file=key_file, workers=1, echo=quiet)
    found = find([of_dataset(packed), of_dataset(other)], near=False)
    first, second = of_dataset(packed), of_dataset(other)
    where = dict(zip(second.patients, second.splits, strict=True))
    moved = [p for p, s in zip(first.patients, first.splits, strict=True) if where[p] != s]
    assert len(moved) > 3
    assert {x.kind for x in found} == {"patient"}
    assert {x.evidence.split()[1].rstrip(":") for x in found} == set(moved)


@pytest.mark.parametrize("value", [0, 255])
def test_blank_tiny_and_coloured_pictures(value):
    blank = np.full((16, 16), value, np.uint8)
    colour = np.random.default_rng(0).integers(0, 256, (16, 16, 3)).astype(np.uint8)
    dot = np.full((1, 1), value, np.uint8)
    learnt = side("a", "train", [blank, colour, dot], ["p", "q", "r"])
    judged = side("b", "test", [blank + 0, np.ascontiguousarray(colour[:, ::-1])], ["s", "t"])
    found = find([learnt, judged])
    assert ("identical", "a/train/00000", "b/test/00000") in {(x.kind, x.a, x.b) for x in found}


def test_what_cannot_be_is_refused():
    assert find([]) == ()
    assert find([make_side("a", [])]) == ()
    with pytest.raises(ValueError, match="no split is called 'valid'"):
        find([make_side("a", [("valid", "p", "h")])])
    with pytest.raises(ValueError, match="no dataset is called 'b'"):
        find([make_side("a", [])], new={"a", "b"})
    broken = Side(
        "a", "k", ["train"], ["1", "2"], ["p"], ["h"], lambda _: np.zeros((2, 2), np.uint8)
    )
    with pytest.raises(ValueError, match="unequal length"):
        find([broken])


def test_lines_name_both_sides_and_stop():
    leaks = [
        Leak("near", f"a/train/{n:03d}", f"b/test/{n:03d}", "flipped", "correlation 0.990")
        for n in range(25)
    ]
    said = lines(leaks, most=3)
    assert said[0].startswith("25 leaks: 25 copies of pictures")
    assert said[1] == "  a/train/000 = b/test/000: flipped (correlation 0.990)"
    assert said[-1] == "  ... and 22 more"
    assert len(said) == 5
    assert len(lines(leaks)) == 22
    assert lines([]) == ["no leaks found"]
