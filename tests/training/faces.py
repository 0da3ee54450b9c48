"""Packed faces, as drawn: colour pictures whose hue tells the class, each with a crop beside it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from data_sharding.extras import Extra
from data_sharding.packing.shards import ShardWriter, write_index
from data_sharding.schema import FlowStep, Manifest, Sample, sha256_file, write_atomic

CLASSES = ("normal", "osteopenia", "osteoporosis")
SIDE = 48
EXTRAS = (
    Extra(name="crop", shape=(80, 80, 3), dtype="uint8"),
    Extra(name="landmarks", shape=(468, 3), dtype="float32"),
)
SPLITS = {"train": 36, "tune": 18, "test": 18}


def face(rng: np.random.Generator, label: int, side: int) -> np.ndarray:
    """uint8 [side, side, 3]: noise, and more of the class's own colour in the middle."""
    image = rng.integers(0, 120, (side, side, 3))
    image[side // 4 : -side // 4, side // 4 : -side // 4, label] += 100
    return image.astype(np.uint8)


def pack_faces(
    folder: Path, splits: dict[str, int] = SPLITS, extras: tuple[Extra, ...] = EXTRAS
) -> Path:
    """A dataset called faces: the labels go 0, 1, 2, 0, ...; a patient has two photographs."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    with ShardWriter(folder, per_shard=16) as writer:
        for split, n in splits.items():
            for i in range(n):
                label = i // 2 % 3
                image, crop = face(rng, label, SIDE), face(rng, label, 80)
                mesh = rng.uniform(0, SIDE, (468, 3)).astype(np.float32)
                beside = {"crop": crop, "landmarks": mesh}
                sample = Sample(
                    key=hashlib.sha256(f"{split}/{i}".encode()).hexdigest()[:20],
                    patient=f"{split}-{i // 2}",
                    source="faces",
                    split=split,  # type: ignore[arg-type]
                    view="FRONTAL",
                    age=50.0 + i % 30,
                    sex="FM"[i // 2 % 2],  # type: ignore[arg-type]
                    label=label,
                    severity=None,
                    lowest_t=(-0.5, -1.7, -2.9)[label],
                    lowest_t_site="total_hip",
                    policy="face2bone/1",
                    days_to_dxa=0,
                    height_cm=160.0,
                    weight_kg=60.0,
                    applied=("drawn",),
                    pixels_sha256=hashlib.sha256(image.tobytes()).hexdigest(),
                )
                writer.add(sample, image, {e.name: beside[e.name] for e in extras})
    write_atomic(folder / "ledger.csv", "step,unit,item,patient,reason,evidence\n")
    n = sum(splits.values())
    Manifest(
        name="faces",
        role="internal",
        policy="face2bone/1",
        classes=CLASSES,
        settings={"pixels": "face/1"},
        image_shape=(SIDE, SIDE, 3),
        extras=extras,
        key_id="test",
        shards=tuple(writer.shards),
        index_sha256=write_index(folder, writer.rows),
        ledger_sha256=sha256_file(folder / "ledger.csv"),
        flow=(FlowStep(step="drawn", unit="image", n_in=n, excluded={}, n_out=n),),
    ).save(folder)
    return folder
