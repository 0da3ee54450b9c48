"""Fixtures shared by the test folders: a small packed world made with the real shard writer."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

# Before numpy and torch are imported, and for every process that is started from here: on a busy
# machine threads that wait for one another in pictures of 48 pixels took eight times the CPU.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"  # read when timm is imported: no test waits for a network

import numpy as np

from data_sharding.packing.shards import ShardWriter, write_index
from data_sharding.schema import (
    CLASSES,
    FlowStep,
    Manifest,
    Sample,
    sha256_file,
    write_atomic,
)
from training.leave import leave


def pytest_sessionstart(session: pytest.Session) -> None:
    """Kept for the end."""
    session.config.stash[SESSION] = session


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """End with what the tests came to.

    A dozen libraries have threads in this one process (Ray, gRPC, Arrow, MediaPipe), and once in
    a while one of them runs into what the interpreter's end has taken down: a segmentation fault
    after all tests have passed. What is to be done at the end is done; the rest is left.
    """
    if SESSION in config.stash:
        leave(int(config.stash[SESSION].exitstatus))


SESSION = pytest.StashKey[pytest.Session]()
#: Real files that lie beside the checkout in development and CI; tests that need them skip without.
SHARED = Path(__file__).resolve().parents[2] / "shared"


def picture(rng: np.random.Generator, label: int, size: int) -> np.ndarray:
    """A grey square whose inner bar is brighter in class 0: learnable in a few steps."""
    image = rng.normal(90, 12, (size, size))
    image[:, size // 3 : 2 * size // 3] += 70 if label == 0 else 10
    return image.clip(0, 255).astype(np.uint8)


def pack_pictures(
    folder: Path,
    name: str,
    role: str,
    splits: dict[str, int],
    size: int = 48,
    seed: int = 0,
    pixels: str = "drawn/1",
) -> Path:
    """A packed dataset of `splits` (name -> samples), alternating labels (none if public).

    Its pictures are uint8; widened to uint16 if `pixels` is cxr16/1.
    """
    deep = pixels == "cxr16/1"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    with ShardWriter(folder, per_shard=16) as writer:
        for split, n in splits.items():
            for i in range(n):
                label = i % 2
                image = picture(rng, label, size)
                image = image.astype("<u2") * 257 if deep else image
                known = role != "public"
                writer.add(
                    Sample(
                        key=hashlib.sha256(f"{name}/{split}/{i}".encode()).hexdigest()[:20],
                        patient=f"{name}-{split}-{i // 2}",
                        source=name,
                        split=split,  # type: ignore[arg-type]
                        view="PA",
                        age=50.0 + i % 30,
                        sex="FM"[i % 3 == 0],  # type: ignore[arg-type]
                        label=label if known else None,  # type: ignore[arg-type]
                        severity=("normal", "mild")[label] if known else None,  # type: ignore[arg-type]
                        lowest_t=(-0.5, -1.2)[label] if known else None,
                        lowest_t_site="total_hip" if known else None,
                        policy="ospenscreen/1" if known else "",
                        days_to_dxa=0 if known else None,
                        height_cm=160.0,
                        weight_kg=60.0,
                        applied=("drawn",),
                        pixels_sha256=hashlib.sha256(image.tobytes()).hexdigest(),
                    ),
                    image,
                )
    write_atomic(folder / "ledger.csv", "step,unit,item,patient,reason,evidence\n")
    n = sum(splits.values())
    Manifest(
        name=name,
        role=role,  # type: ignore[arg-type]
        policy="ospenscreen/1",
        classes=CLASSES if role != "public" else (),
        settings={"seed": seed, "pixels": pixels},
        image_shape=(size, size),
        image_dtype="uint16" if deep else "uint8",
        key_id="test",
        shards=tuple(writer.shards),
        index_sha256=write_index(folder, writer.rows),
        ledger_sha256=sha256_file(folder / "ledger.csv"),
        flow=(FlowStep(step="drawn", unit="image", n_in=n, excluded={}, n_out=n),),
    ).save(folder)
    return folder


@pytest.fixture(scope="session", autouse=True)
def user_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The user's cache, here and in every process started from here."""
    folder = tmp_path_factory.mktemp("cache")
    os.environ["OSTEORAY_CACHE"] = str(folder)
    return folder


@pytest.fixture(scope="session")
def packs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Three packed datasets of 48x48 pictures: internal, external, public."""
    root = tmp_path_factory.mktemp("packs")
    splits = {"train": 45, "tune": 20, "test": 20}
    return {
        "internal": pack_pictures(root / "here", "here", "internal", splits),
        "external": pack_pictures(root / "there", "there", "external", {"external": 21}, seed=1),
        "public": pack_pictures(root / "open", "open", "public", {"public": 30}, seed=2),
    }


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real data; a test that asks for it skips where there is none."""
    if not (SHARED / "data").is_dir():
        pytest.skip("no ../shared/data beside this checkout: tests on real files are skipped")
    return SHARED / "data"
