"""Packed pictures of followed patients: the brighter the bar, the later the fracture."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from data_sharding.packing.shards import ShardWriter, write_index
from data_sharding.schema import CLASSES, FlowStep, Manifest, Sample, sha256_file, write_atomic

SIZE = 48


def draw(rng: np.random.Generator, frailty: float) -> np.ndarray:
    """A grey square with a bar whose brightness falls with frailty, uint8 [SIZE, SIZE]."""
    image = rng.normal(90, 12, (SIZE, SIZE))
    image[:, SIZE // 3 : 2 * SIZE // 3] += 50 - 25 * frailty
    return image.clip(0, 255).astype(np.uint8)


def pack_followed(
    folder: Path,
    name: str = "here",
    role: str = "internal",
    splits: dict[str, int] | None = None,
    seed: int = 0,
    unfollowed: int = 5,
    broken: bool = True,
) -> Path:
    """A packed dataset whose hazard of a fracture is .0004 exp(1.5 frailty) a day.

    Every `unfollowed`-th patient has no follow-up; without `broken` nobody has a fracture.
    """
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    splits = splits or {"train": 64, "tune": 40, "test": 40}
    with ShardWriter(folder, per_shard=16) as writer:
        for split, n in splits.items():
            for i in range(n):
                frailty = float(rng.normal())
                pixels = draw(rng, frailty)
                until = float(rng.exponential(1 / (0.0004 * np.exp(1.5 * frailty))))
                seen = float(rng.uniform(400, 2500))
                event = broken and until < seen
                known = i % unfollowed > 0
                sample = Sample(
                    key=hashlib.sha256(f"{name}/{split}/{i}".encode()).hexdigest()[:20],
                    patient=f"{name}-{split}-{i}",
                    source=name,
                    split=split,  # type: ignore[arg-type]
                    view="PA",
                    age=60.0,
                    sex="F",
                    label=None,
                    severity=None,
                    lowest_t=None,
                    lowest_t_site=None,
                    policy="",
                    days_to_dxa=None,
                    height_cm=None,
                    weight_kg=None,
                    fracture=(1 if event else 0) if known else None,
                    followup_days=int(np.ceil(until if event else seen)) if known else None,
                    applied=("drawn",),
                    pixels_sha256=hashlib.sha256(pixels.tobytes()).hexdigest(),
                )
                writer.add(sample, pixels)
    write_atomic(folder / "ledger.csv", "step,unit,item,patient,reason,evidence\n")
    total = sum(splits.values())
    Manifest(
        name=name,
        role=role,  # type: ignore[arg-type]
        policy="",
        classes=CLASSES,
        settings={"seed": seed, "pixels": "drawn/1"},
        image_shape=(SIZE, SIZE),
        key_id="test",
        shards=tuple(writer.shards),
        index_sha256=write_index(folder, writer.rows),
        ledger_sha256=sha256_file(folder / "ledger.csv"),
        flow=(FlowStep(step="drawn", unit="image", n_in=total, excluded={}, n_out=total),),
    ).save(folder)
    return folder
