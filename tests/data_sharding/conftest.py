"""Fixtures of the data line: hand-made files, a packed site, and real files where they are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from data_sharding.pack import pack
from tests.data_sharding.hand_made import make_site, radiograph

SHARED = Path(__file__).parents[2] / "../shared/data"


@pytest.fixture(scope="session")
def dicom() -> Callable[..., Path]:
    return radiograph


@pytest.fixture(scope="session")
def real_dicoms() -> list[Path]:
    folder = SHARED / "dicom"
    if not folder.is_dir():
        pytest.skip("the real DICOM files are not here (../shared/data/dicom)")
    return sorted(folder.iterdir())


@pytest.fixture(scope="session")
def nih_folder() -> Path:
    folder = SHARED / "nih_sample"
    if not folder.is_dir():
        pytest.skip("the real NIH images are not here (../shared/data/nih_sample)")
    return folder


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_site(tmp_path_factory.mktemp("site") / "asan")


@pytest.fixture(scope="session")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("key") / "demo.key"
    path.write_text("ab" * 32 + "\n")
    return path


@pytest.fixture(scope="session")
def packed(site: Path, key_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("packed") / "asan"
    quiet = {"key_file": key_file, "workers": 1, "echo": lambda _: None}
    pack(site, out, size=32, shard_samples=8, screen=False, **quiet)
    return out
