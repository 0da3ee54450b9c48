"""Who a phantom face belongs to, and how it is photographed: draws, without a pixel.

    visage = visage_of(seed, story)          # what stays: signs, features, colours
    sitting = sitting_of(seed, story, k)          # photograph k: day, pose, light, camera, fate

Each has a random stream of its own, keyed by (seed, patient, purpose), so that one more photograph
changes no other.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from data_sharding.phantom.faces.patterns import IDENTITY
from data_sharding.phantom.stories import Story, stream
from data_sharding.phantom.vendors import ASAN

#: Photographs that are no use, with the reason for which they should be refused.
FATES: tuple[tuple[str, float], ...] = (
    ("no_face", 0.010),
    ("several_faces", 0.010),
    ("small_face", 0.008),
    ("blurred_face", 0.010),
    ("turned_face", 0.012),
    ("eyes_closed", 0.010),
    ("forehead_covered", 0.008),
    ("face_exposure", 0.010),
    ("truncated", 0.006),
    ("not_photo", 0.004),
)
#: What goes wrong with good photographs on the way to the table, and how often.
MISHAPS = (("copied", 0.006), ("no_row", 0.005), ("row_twice", 0.006), ("row_without_file", 0.005))
MENOPAUSE = (49.5, 3.5)  # mean and SD, years
_VISAGE, _SITTING, _TABLES, _MISHAP = 901, 902, 903, 904  # purposes of streams

SKIN = ((1.00, 1.00, 1.00), (0.97, 0.94, 0.88), (0.90, 0.84, 0.76), (0.82, 0.74, 0.64))
HAIR = ((0.12, 0.10, 0.10), (0.20, 0.15, 0.12), (0.33, 0.24, 0.17), (0.42, 0.33, 0.22))
GREY = (0.62, 0.61, 0.60)


@dataclass(frozen=True)
class Visage:
    """A face as it is on every photograph.

    `noise`: standard normal, one a region: what each sign shows besides bone. `features`: effect of
    `patterns.OTHERS` -> coefficient. `skin`, `hair`: RGB factors. `folded`: seed of the fine lines.
    """

    noise: tuple[float, ...]
    features: dict[str, float]
    apparent_age: float
    skin: tuple[float, float, float]
    hair: tuple[float, float, float]
    hair_volume: float
    folded: int


@dataclass(frozen=True)
class Sitting:
    """One photograph. Angles in degrees (`faces.pose` has the signs), lengths in pixels."""

    day: date
    fate: str  # good, or one of FATES
    width: int
    height: int
    face: float  # photo pixels a canvas pixel
    shift: tuple[float, float]  # of the face's middle, shares of the photograph
    yaw: float
    pitch: float
    roll: float
    smile: float
    light: tuple[float, float]  # from the right and from below, relative to the front
    exposure: float  # factor
    white: tuple[float, float, float]  # factors of R, G, B
    contrast: float
    blur: float  # sigma
    noise: float  # SD, of 1
    wall: tuple[float, float, float]
    cloth: tuple[float, float, float]
    quality: int
    orientation: int
    exif: bool
    grain: int  # seed of everything drawn by pixel


def visage_of(seed: int, story: Story, confounding: float = 1.0) -> Visage:
    """The face of a patient. `confounding`: how far age and BMI show, 0 to 1."""
    rng = stream(seed, ASAN, story.index, _VISAGE)
    noise = tuple(float(v) for v in rng.normal(0, 1, 5))
    features = {name: float(np.clip(v, -2.2, 2.2)) for name, v in _normal(rng, IDENTITY)}
    apparent = story.age + float(rng.normal(0, 6.0))
    features["age"] = confounding * float(np.clip((apparent - 57) / 10, -2, 3))
    features["bmi"] = confounding * float(np.clip((story.bmi - 24) / 4, -1.8, 2.5))
    features["male"] = 1.0 if story.sex == "M" else 0.0
    skin = _between(rng, SKIN)
    dark = np.array(_between(rng, HAIR))
    dyed = rng.random() < 0.35
    grey = float(np.clip((apparent - 45) / 35 + rng.normal(0, 0.2), 0, 1))
    grey *= 0.0 if dyed else confounding
    hair = dark * (1 - grey) + np.array(GREY) * grey
    volume = float(rng.normal(-4, 7)) - (16 if story.sex == "M" else 0)
    return Visage(
        *(noise, features, apparent, skin, tuple(hair.tolist()), volume),
        folded=int(rng.integers(2**31)),
    )


def sitting_of(seed: int, story: Story, k: int) -> Sitting:
    """Photograph `k` of a patient."""
    rng = stream(seed, ASAN, story.index, _SITTING, k)
    first, later = (int(v) for v in rng.integers(0, (45, 30)))
    same_day, again = rng.random(2) < (0.5, 0.7)
    fate = _fate(float(rng.random()))
    yaw, pitch, roll = rng.normal((0, 4, 0), (5.5, 2.5, 3.5))
    if fate == "turned_face":
        yaw = 46.0 if yaw > 0 else -46.0
    else:
        yaw = np.clip(yaw, -13, 13)
    width = int(rng.integers(65, 84)) * 8
    height = int(width * float(rng.uniform(1.05, 1.3))) // 8 * 8
    warm = float(rng.normal(0, 0.05))
    wall = np.clip(rng.uniform(0.45, 0.9) + rng.normal(0, 0.04, 3), 0, 1)
    cloth = np.clip(rng.uniform(0.1, 0.8) + rng.normal(0, 0.15, 3), 0.03, 0.95)
    return Sitting(
        day=photo_day(story, 0 if same_day else first, 0 if again or not k else later),
        fate=fate,
        width=width,
        height=height,
        face=width / 600 * float(rng.uniform(0.85, 1.1)),
        shift=(float(rng.normal(0, 0.02)), float(rng.normal(0.02, 0.02))),
        yaw=float(yaw),
        pitch=float(np.clip(pitch, -3, 10)),
        roll=float(np.clip(roll, -10, 10)),
        smile=float(rng.normal(0, 0.35)),
        light=(float(rng.normal(0, 0.10)), float(rng.normal(-0.05, 0.06))),
        exposure=float(np.exp(np.clip(rng.normal(-0.13, 0.09), -0.35, 0.05))),
        white=(float(np.exp(warm)), 1.0, float(np.exp(-warm + rng.normal(0, 0.02)))),
        contrast=float(rng.normal(1.0, 0.06)),
        blur=float(rng.uniform(0.0, 0.7)),
        noise=float(rng.uniform(0.004, 0.016)),
        wall=(float(wall[0]), float(wall[1]), float(wall[2])),
        cloth=(float(cloth[0]), float(cloth[1]), float(cloth[2])),
        quality=int(rng.integers(82, 96)),
        orientation=int(rng.choice((1, 6, 8, 3), p=(0.76, 0.12, 0.08, 0.04))),
        exif=bool(rng.random() < 0.7),
        grain=int(rng.integers(2**31)),
    )


def photo_day(story: Story, after: int, later: int) -> date:
    """The day of a photograph: some days around the DXA that belongs to the radiograph.

    Those whose radiograph is out of the window, or who have no DXA, come on the radiograph's day.
    """
    index_day = story.shots[0].day
    exam = story.nearest_exam(index_day)
    base = index_day if exam is None or story.kind == "out_of_window" else exam.day
    return base + timedelta(days=after - 10 * (after > 0) + later)


def menopause_of(seed: int, story: Story) -> str:
    """``pre`` or ``post`` at the index radiograph, '' for men; of some women it is not known."""
    rng = stream(seed, ASAN, story.index, _TABLES)
    since, known = float(rng.normal(*MENOPAUSE)), rng.random() > 0.015
    if story.sex != "F":
        return ""
    if not known:
        return "unknown"
    return "post" if story.age > since else "pre"


def mishap_of(seed: int, story: Story, k: int) -> str:
    """What happens to photograph `k` in the study's office; '' for nothing."""
    u = float(stream(seed, ASAN, story.index, _MISHAP, k).random())
    for mishap, share in MISHAPS:
        if u < share:
            return mishap
        u -= share
    return ""


def _fate(u: float) -> str:
    for fate, share in FATES:
        if u < share:
            return fate
        u -= share
    return "good"


def _normal(rng: np.random.Generator, names: tuple[str, ...]) -> list[tuple[str, float]]:
    return [(name, float(v)) for name, v in zip(names, rng.normal(0, 1, len(names)), strict=True)]


def _between(
    rng: np.random.Generator, colours: tuple[tuple[float, float, float], ...]
) -> tuple[float, float, float]:
    """A colour somewhere along a row of colours."""
    t = float(rng.uniform(0, len(colours) - 1))
    red, green, blue = (np.interp(t, range(len(colours)), c) for c in np.array(colours).T)
    return float(red), float(green), float(blue)
