"""Hostile tars: each is made from a good one by one trick, and refused by name and reason."""

from __future__ import annotations

import io
import json
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_sharding.reader import npy_header
from data_sharding.schema import Manifest
from data_sharding.storage.tarcheck import check_tar
from tests.data_sharding.many import key, make_few

SHAPE = (8, 8)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_few(tmp_path_factory.mktemp("good") / "few", 3, 8, SHAPE)
    return folder / Manifest.load(folder).shards[0].path


def members(path: Path) -> list[tuple[str, bytes]]:
    with tarfile.open(path) as tar:
        return [(m.name, tar.extractfile(m).read()) for m in tar]  # type: ignore[union-attr]


def write(path: Path, files: list[tuple[str | tarfile.TarInfo, bytes]], form=tarfile.USTAR_FORMAT):
    with tarfile.open(path, "w", format=form) as tar:
        for name, data in files:
            info = tarfile.TarInfo(name) if isinstance(name, str) else name
            if isinstance(name, str):
                info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def test_a_good_one_is_what_the_tarfile_library_sees(good):
    found = check_tar(good, SHAPE, "uint8", 3)
    seen = members(good)
    raw = good.read_bytes()
    ours = [
        (f"{m.key}.{m.kind}", raw[m.offset : m.offset + m.size])
        for group in found
        for m in group.values()
    ]
    assert ours == seen
    assert [group["npy"].key for group in found] == [key(i) for i in range(3)]


def test_what_another_writer_makes_of_the_same_members_is_taken(good, tmp_path):
    assert check_tar(write(tmp_path / "a.tar", members(good)), SHAPE) == check_tar(good, SHAPE)


def test_pictures_may_lie_beside_the_array(good, tmp_path):
    png = b"\x89PNG\r\n\x1a\n" + bytes(50)
    files = members(good)
    path = write(tmp_path / "a.tar", [*files[:2], (f"{key(0)}.png", png), *files[2:]])
    assert set(check_tar(path, SHAPE)[0]) == {"npy", "json", "png"}
    path = write(tmp_path / "b.tar", [*files[:2], (f"{key(0)}.jpg", png), *files[2:]])
    with pytest.raises(ValueError, match=rf"{key(0)}\.jpg is not a jpg"):
        check_tar(path, SHAPE)
    path = write(
        tmp_path / "c.tar", [*files[:2], (f"{key(0)}.png", png + bytes(10**6)), *files[2:]]
    )
    with pytest.raises(ValueError, match="more than its picture can take"):
        check_tar(path, SHAPE)


def special(name: str, kind: bytes, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def npy(array: np.ndarray, pickled: bool = False) -> bytes:
    out = io.BytesIO()
    np.save(out, array, allow_pickle=pickled)
    return out.getvalue()


def named(name: str, data: bytes = b"x"):
    return lambda files: [*files, (name, data)]


def renamed(name: str):
    return lambda files: [(name, files[0][1]), *files[1:]]


def replaced(at: int, data: bytes):
    return lambda files: [*files[:at], (files[at][0], data), *files[at + 1 :]]


def facts(**changes) -> Callable:
    def change(files):
        said = json.loads(files[1][1]) | changes
        return replaced(1, json.dumps(said).encode())(files)

    return change


HOSTILE = {
    "path traversal": (named("../../etc/cron.d/x.npy"), r"\.\./\.\./etc/cron.d/x.npy.*not KEY"),
    "absolute name": (renamed("/etc/passwd.npy"), "/etc/passwd.npy.*not KEY"),
    "folder in the name": (renamed("a/k.npy"), "a/k.npy.*not KEY"),
    "backslash": (renamed("..\\k.npy"), "not KEY"),
    "code": (named("k00000000.pyd"), "k00000000.pyd.*not KEY"),
    "pickle": (named("k00000000.pkl", pickle.dumps([1])), "not KEY"),
    "torch": (named("k00000000.pth"), "not KEY"),
    "shared object": (named("k00000000.so"), "not KEY"),
    "two extensions": (renamed("k00000000.seg.npy"), "not KEY"),
    "letters that only look plain": (renamed("k0000000٣.npy"), "not KEY"),
    "new line in the name": (renamed("k00000000.npy\n"), "not KEY"),
    "no key": (renamed(".npy"), "not KEY"),
    "symbolic link": (
        lambda f: [*f, (special("k9.npy", tarfile.SYMTYPE, "/etc/passwd"), b"")],
        "k9.npy.*symbolic link",
    ),
    "hard link": (
        lambda f: [*f, (special("k9.npy", tarfile.LNKTYPE, "k00000000.npy"), b"")],
        "k9.npy.*hard link",
    ),
    "character device": (
        lambda f: [*f, (special("k9.npy", tarfile.CHRTYPE), b"")],
        "k9.npy.*character device",
    ),
    "block device": (lambda f: [*f, (special("k9.npy", tarfile.BLKTYPE), b"")], "block device"),
    "pipe": (lambda f: [*f, (special("k9.npy", tarfile.FIFOTYPE), b"")], "pipe"),
    "folder": (lambda f: [*f, (special("k9.npy", tarfile.DIRTYPE), b"")], "folder"),
    "old plain file": (lambda f: [*f, (special("k9.npy", tarfile.AREGTYPE), b"")], "of type"),
    "sparse": (lambda f: [*f, (special("k9.npy", b"S"), b"")], "k9.npy.*sparse"),
    "set uid": (
        lambda f: [(_mode(f[0], 0o4755), f[0][1]), *f[1:]],
        "k00000000.npy.*sets the user",
    ),
    "an owner": (lambda f: [(_owner(f[0]), f[0][1]), *f[1:]], "k00000000.npy.*an owner"),
    "the same member twice": (lambda f: [f[0], f[0], *f[1:]], "k00000000.npy is there twice"),
    "the same key later": (lambda f: [*f, *f[:2]], "k00000000.npy is there twice"),
    "a sample in two places": (
        lambda f: [f[0], *f[2:], f[1]],
        "00.json does not lie beside",
    ),
    "an array without facts": (lambda f: f[:-1], "k00000002 has no json"),
    "facts without an array": (lambda f: f[1:], "k00000000 has no npy"),
    "pickled array": (
        replaced(0, npy(np.array([{"a": 1}] * 9, dtype=object), pickled=True)),
        "k00000000.npy has .* bytes, not",
    ),
    "other shape": (replaced(0, npy(np.zeros((4, 16), np.uint8))), "not an array of the shape"),
    "other type": (replaced(0, npy(np.zeros((8, 8), np.int8))), "not an array of the shape"),
    "too short": (replaced(0, npy_header(SHAPE, "uint8")), "bytes, not the 192"),
    "too long": (replaced(0, npy(np.zeros((9, 8), np.uint8))), "bytes, not the 192"),
    "absurd facts": (replaced(1, b"[" * 10**6), "k00000000.json has 1000000 bytes"),
    "empty facts": (replaced(1, b""), "k00000000.json has 0 bytes"),
    "facts that are none": (replaced(1, b"{}"), "k00000000.json has no readable facts"),
    "deep facts": (replaced(1, b"[" * 60_000), "k00000000.json has no readable facts"),
    "facts of another key": (facts(key="k00000001"), "holds the facts of 'k00000001'"),
    "facts with more": (facts(run="rm -rf /"), "no readable facts"),
}


def _mode(member: tuple[str, bytes], mode: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(member[0])
    info.size, info.mode = len(member[1]), mode
    return info


def _owner(member: tuple[str, bytes]) -> tarfile.TarInfo:
    info = _mode(member, 0o644)
    info.uname = "dr.kim"
    return info


@pytest.mark.parametrize("trick", HOSTILE)
def test_hostile_members(good, tmp_path, trick):
    change, why = HOSTILE[trick]
    path = write(tmp_path / "bad.tar", change(members(good)))
    with pytest.raises(ValueError, match=why) as caught:
        check_tar(path, SHAPE)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize(
    ("form", "name", "why"),
    [
        (tarfile.GNU_FORMAT, "k" * 120 + ".npy", "GNU long name"),
        (tarfile.PAX_FORMAT, "k" * 300 + ".npy", "pax header"),
        (tarfile.GNU_FORMAT, "k9.npy", "not USTAR"),
        (tarfile.USTAR_FORMAT, "a" * 100 + "/" + "k" * 40 + ".npy", "a path"),
    ],
)
def test_extensions_of_the_format(good, tmp_path, form, name, why):
    path = write(tmp_path / "bad.tar", [(name, b"x"), *members(good)], form)
    with pytest.raises(ValueError, match=why):
        check_tar(path, SHAPE)


def test_a_global_pax_header(good, tmp_path):
    path = tmp_path / "bad.tar"
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT, pax_headers={"path": "../x"}) as tar:
        for name, data in members(good):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    with pytest.raises(ValueError, match="global pax header"):
        check_tar(path, SHAPE)


def patched(raw: bytes, at: int, data: bytes, header: int = 0) -> bytes:
    """Bytes changed, with the checksum of the header that begins at `header` made right again."""
    out = bytearray(raw)
    out[at : at + len(data)] = data
    block = out[header : header + 512]
    block[148:156] = b" " * 8
    out[header + 148 : header + 156] = b"%06o\0 " % sum(block)
    return bytes(out)


BYTES = {
    "checksum": (lambda r: b"\1" + r[1:], "checksum"),
    "base-256 size": (lambda r: patched(r, 124, b"\x80" + b"\0" * 10 + b"\1"), "octal"),
    "negative size": (lambda r: patched(r, 124, b"-0000000001\0"), "octal"),
    "absurd size": (lambda r: patched(r, 124, b"77777777777\0"), "runs beyond the end"),
    "NUL in the name": (lambda r: patched(r, 0, b"k00000000.npy\0.pyd"), "behind the NUL"),
    "prefix": (lambda r: patched(r, 345, b"../.."), "a path"),
    "link's target": (lambda r: patched(r, 157, b"/etc/passwd"), "a link's target"),
    "bytes no field owns": (lambda r: patched(r, 505, b"hidden"), "no field owns"),
    "device number": (lambda r: patched(r, 329, b"0000010\0"), "device"),
    "magic": (lambda r: patched(r, 257, b"ustar  \0"), "not USTAR"),
    "padding": (lambda r: r[: 512 + 192] + b"x" + r[512 + 193 :], "hidden in the padding"),
    "after the end": (lambda r: r[:-1] + b"x", "follows the end"),
    "a tar after the end": (lambda r: r + r, "follows the end"),
    "megabytes of nothing": (lambda r: r + bytes(10**7 // 512 * 512), "follows the end"),
    "one empty block": (lambda r: r.rstrip(b"\0") + bytes(-len(r.rstrip(b"\0")) % 512), "ends at"),
    "cut within a member": (lambda r: r[: 512 + 100], "runs beyond the end"),
    "cut within a header": (lambda r: r[:700], "ends at|beyond the end"),
    "odd length": (lambda r: r + b"\0", "two empty blocks"),
    "gzip": (lambda r: __import__("gzip").compress(r), "checksum|ends at"),
    "text": (lambda r: b"not a tar at all\n" * 100, "checksum"),
    "no bytes": (lambda r: b"", "empty"),
}


@pytest.mark.parametrize("trick", BYTES)
def test_hostile_bytes(good, tmp_path, trick):
    change, why = BYTES[trick]
    path = tmp_path / "bad.tar"
    path.write_bytes(change(good.read_bytes()))
    with pytest.raises(ValueError, match=why):
        check_tar(path, SHAPE)


def test_another_number_of_samples(good):
    with pytest.raises(ValueError, match="3 samples, not 4"):
        check_tar(good, SHAPE, "uint8", 4)


def test_no_samples_at_all(tmp_path):
    path = tmp_path / "empty.tar"
    path.write_bytes(bytes(10240))
    assert check_tar(path, SHAPE, samples=0) == []
    with pytest.raises(ValueError, match="0 samples, not 1"):
        check_tar(path, SHAPE, samples=1)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_whatever_is_changed_it_is_refused_or_means_the_same(good, data):
    """Any change of any byte of a header, a padding or the end is seen, or changes nothing that
    matters: the members are the same, in the same places."""
    raw = bytearray(good.read_bytes())
    want = check_tar(good, SHAPE)
    inside = {b for g in want for m in g.values() for b in range(m.offset, m.offset + m.size)}
    at = data.draw(st.integers(0, len(raw) - 1).filter(lambda b: b not in inside))
    raw[at] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()) and at < 512:
        raw = bytearray(patched(bytes(raw), at, raw[at : at + 1]))
    path = good.with_name("mutated.tar")
    path.write_bytes(raw)
    try:
        found = check_tar(path, SHAPE)
    except ValueError:
        return
    places = [[(m.kind, m.offset, m.size) for m in g.values()] for g in found]
    assert places == [[(m.kind, m.offset, m.size) for m in g.values()] for g in want]
