"""A public set without DXA, in the layout of NIH ChestX-ray14 (edition v2020).

``images/NNNNNNNN_NNN.png`` (8-bit grey) and ``Data_Entry_2017_v2020.csv`` with its header, comma
for comma. Five of the fourteen findings are used, those that can be drawn.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from data_sharding.phantom.anatomy import NOTHING, Findings
from data_sharding.phantom.stories import Shot, Story, stream
from data_sharding.phantom.vendors import PUBLIC

CSV_NAME = "Data_Entry_2017_v2020.csv"
HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]"
)
#: Share of each finding among all pictures; a picture may have two.
SHARES = (
    ("Cardiomegaly", 0.07),
    ("Effusion", 0.10),
    ("Infiltration", 0.12),
    ("Mass", 0.05),
    ("Nodule", 0.07),
)
#: Width, height and pixel spacing (mm) of the originals, by room: three common ones of the set.
_ORIGINALS = ("2992,2991,0.143,0.143", "2500,2048,0.168,0.168", "2048,2500,0.171,0.171")


@dataclass(frozen=True)
class Reading:
    """What the report says of one picture and what is drawn for it."""

    labels: str
    findings: Findings
    heart: float


def read_findings(seed: int, story: Story, shot: Shot) -> Reading:
    """Draw the findings of one public picture."""
    rng = stream(seed, PUBLIC, story.index, 5, shot.study)
    present = [name for (name, share), u in zip(SHARES, rng.random(5), strict=True) if u < share]
    side = 1.0 if rng.random() < 0.5 else -1.0
    x, y = side * rng.uniform(50, 95), rng.uniform(110, 230)
    small, large, cloud, fluid, heart = rng.uniform(
        (5, 16, 35, 25, 1.18), (12, 28, 60, 60, 1.32)
    ).tolist()
    findings = NOTHING
    if "Effusion" in present:
        findings = replace(findings, effusion=-side * fluid)
    if "Infiltration" in present:
        findings = replace(findings, haze=(float(-x), float(y), cloud))
    if "Mass" in present or "Nodule" in present:
        radius = large if "Mass" in present else small
        findings = replace(findings, nodule=(float(x), float(y), radius))
    return Reading(
        "|".join(present) or "No Finding", findings, heart if "Cardiomegaly" in present else 1.0
    )


def image_name(story: Story, shot: Shot) -> str:
    """NNNNNNNN_NNN.png: patient and follow-up."""
    return f"{story.index + 1:08d}_{shot.follow_up:03d}.png"


def csv_row(story: Story, shot: Shot, reading: Reading) -> str:
    """One line of the CSV, without its end; the age is in whole years at the picture."""
    age = int(story.age + (shot.day - story.shots[0].day).days / 365.25)
    return ",".join(
        (
            image_name(story, shot),
            reading.labels,
            str(shot.follow_up),
            str(story.index + 1),
            str(age),
            story.sex,
            shot.view,
            _ORIGINALS[shot.room],
        )
    )


def to_eight_bits(toned: np.ndarray) -> np.ndarray:
    """uint8 of greys in [0, 1]."""
    return np.rint(np.clip(toned, 0, 1) * 255).astype(np.uint8)
