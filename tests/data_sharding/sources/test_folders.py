"""Walking a folder: against os.walk, and where there are links and locked doors."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from data_sharding.packing.resume import listing
from data_sharding.pictures.work import Scan, scan
from data_sharding.sources.folders import files_under


def make(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


def under(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in files_under(folder)]


def test_every_file_is_found_in_the_order_of_walk(tmp_path):
    make(tmp_path, "b", "a/z", "a/b/c", "a/b.d/e", "c/a", ".hidden/x", "\udcff/y")
    want = []
    for root, folders, files in os.walk(tmp_path):
        folders.sort()
        want += [Path(root) / name for name in sorted(files)]
    assert list(files_under(tmp_path)) == want
    assert list(files_under(tmp_path / "none")) == []


def test_links_are_followed_once_and_never_above(tmp_path):
    make(tmp_path, "site/dicom/a", "site/dxa.csv", "archive/b", "archive/deep/c")
    dicom = tmp_path / "site/dicom"
    (dicom / "archive").symlink_to(tmp_path / "archive")
    (dicom / "again").symlink_to(tmp_path / "archive")
    (dicom / "here").symlink_to(dicom)
    (dicom / "gone").symlink_to(tmp_path / "nothing")
    (dicom / "machine").symlink_to("/")
    (dicom / "site").symlink_to(tmp_path / "site")
    want = {"a", "gone", "again/b", "again/deep/c", "machine", "site"}
    assert sorted(under(dicom)) == sorted(want)
    listing(dicom)
    for name in ("machine", "site"):
        assert getattr(scan(Scan("dicom", str(dicom / name))), "reason", "") == "unreadable"


@pytest.mark.parametrize("mode", [0o000, 0o444, 0o111])
def test_a_locked_folder_is_an_item(mode):
    """As an ordinary user, who may be kept out of a folder."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        make(folder, "a", "locked/b", "locked/c/d", "open/e")
        (folder / "locked").chmod(mode)
        before = os.geteuid()
        try:
            if before == 0:
                os.seteuid(65534)
            assert sorted(under(folder)) == ["a", "locked", "open/e"]
            listing(folder)
            found = scan(Scan("dicom", str(folder / "locked")))
            assert getattr(found, "reason", "") == "unreadable"
        finally:
            os.seteuid(before)
            (folder / "locked").chmod(0o755)
