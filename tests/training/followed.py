"""Packed pictures of followed patients: drawn ones, where the brighter the bar, the later the
fracture, and the phantom hospital's radiographs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import numpy as np

from data_sharding.packing.shards import ShardWriter, write_index
from data_sharding.phantom.fractures import fracture_of
from data_sharding.phantom.rendering import render
from data_sharding.phantom.stories import tell
from data_sharding.phantom.vendors import ASAN
from data_sharding.schema import CLASSES, FlowStep, Manifest, Sample, sha256_file, write_atomic
from data_sharding.sources.fractures import FollowUp, Seen, follow_up

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
    rng = np.random.default_rng(seed)

    def one(i: int) -> tuple[np.ndarray, FollowUp | None]:
        frailty = float(rng.normal())
        pixels = draw(rng, frailty)
        until = float(rng.exponential(1 / (0.0004 * np.exp(1.5 * frailty))))
        seen = float(rng.uniform(400, 2500))
        event = broken and until < seen
        found = FollowUp(int(event), int(np.ceil(until if event else seen)))
        return pixels, found if i % unfollowed else None

    return pack_pictures(
        folder, name, role, splits or {"train": 64, "tune": 40, "test": 40}, SIZE, one
    )


def pack_phantoms(
    folder: Path, name: str, role: str, splits: dict[str, int], first: int, size: int = 64
) -> Path:
    """Chest radiographs of the phantom hospital's patients from number `first` on, with the days
    that its law of fractures gives them. Of other views and without follow-up none is taken.
    """
    found = followed_phantoms(first, size)
    return pack_pictures(folder, name, role, splits, size, lambda _: next(found))


def followed_phantoms(first: int, size: int) -> Iterator[tuple[np.ndarray, FollowUp | None]]:
    """Pictures, uint8 [size, size], and what became of their patients."""
    for number in count(first):
        story = tell(0, ASAN, number)
        shot, seen = story.shots[0], fracture_of(0, ASAN, story)
        after = follow_up(Seen(*seen, 0), shot.day) if seen else None
        if shot.view == "PA" and isinstance(after, FollowUp):
            toned = render(story, shot, ASAN, seed=0, size=size).toned
            yield (toned * 255).round().clip(0, 255).astype(np.uint8), after


def pack_pictures(
    folder: Path,
    name: str,
    role: str,
    splits: dict[str, int],
    size: int,
    one: Callable[[int], tuple[np.ndarray, FollowUp | None]],
) -> Path:
    """A packed dataset without labels; `one` makes the i-th patient of a split."""
    folder.mkdir(parents=True)
    with ShardWriter(folder, per_shard=16) as writer:
        for split, n in splits.items():
            for i in range(n):
                pixels, after = one(i)
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
                    fracture=after and after.fracture,  # type: ignore[arg-type]
                    followup_days=after and after.days,
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
        settings={"pixels": "drawn/1"},
        image_shape=(size, size),
        key_id="test",
        shards=tuple(writer.shards),
        index_sha256=write_index(folder, writer.rows),
        ledger_sha256=sha256_file(folder / "ledger.csv"),
        flow=(FlowStep(step="drawn", unit="image", n_in=total, excluded={}, n_out=total),),
    ).save(folder)
    return folder
