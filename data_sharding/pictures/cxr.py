"""From a radiograph as a person sees it to the model's picture, in 8 bits or in 16.

cxr/2 (OsPenScreen), uint8: grayscale truncation first, on the full picture, then area averaging,
the paper's order. Edges, markers and collimator blades outside the middle of the picture cannot
stretch its grey scale, nor can padding anywhere. Truncation is folded into the picture's lookup
table, so that looking up, clipping, scaling and averaging are one pass over the bit patterns
(`resample`).

cxr16/1 (Li et al. 2026), uint16: nothing is truncated: a level is the picture's as it is displayed,
0 what the header's window (or VOI table) shows black and 65535 what it shows white; of a file that
names none, its lowest and its highest value. Padding is 0. Which levels matter is decided where the
picture is used, by percentiles of each (`training.preprocess`). The levels are looked up to 16 bits
and their average is rounded once more: never more than 1 off in 65,535.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from data_sharding.pictures.display import Display
from data_sharding.pictures.resample import ONE, area_average, area_average_16, count, plain

PIXELS = "cxr/2"  # the names of the treatments, kept in manifests and with weights
PIXELS_16 = "cxr16/1"
#: What the pictures of a treatment are made of.
DTYPES: dict[str, Literal["uint8", "uint16"]] = {PIXELS: "uint8", PIXELS_16: "uint16"}
SMALLEST = 16  # pixels a side


@dataclass(frozen=True)
class Centre:
    """Grey levels in the central 50% x 50%, 0..65535; `blank` says why nothing is to be seen."""

    low: int
    high: int
    blank: str


def centre(picture: Display) -> Centre:
    """V_min and V_max of rows floor(H/4)..floor(3H/4), columns alike; what is wrong with them.

    A flat centre, or a centre of which 99% has one value, carries no anatomy: a failed exposure,
    a test image, or a window that shows nothing. Padding is left out of it all.
    """
    height, width = picture.codes.shape
    rows, columns = (
        (n // 4, 3 * n // 4) if 3 * n // 4 > n // 4 else (0, n)  # one pixel has no middle
        for n in (height, width)
    )
    counts = count(plain(picture.codes), len(picture.levels), *rows, *columns)
    if picture.padding is not None:
        counts[picture.padding] = 0
    present = np.flatnonzero(counts)
    if not len(present):
        return Centre(0, 0, "the centre of the picture is padding")
    levels, times = picture.levels[present], counts[present]
    low, high = int(levels.min()), int(levels.max())
    if min(height, width) < SMALLEST:
        return Centre(low, high, f"only {width}x{height} pixels")
    if low == high:
        return Centre(low, high, "the centre of the picture is flat")
    for edge, name in ((low, "black"), (high, "white")):
        share = float(times[levels == edge].sum() / times.sum())
        if share > 0.99:
            return Centre(low, high, f"{share:.1%} of the centre is {name}")
    return Centre(low, high, "")


def truncated(picture: Display, middle: Centre) -> npt.NDArray[np.uint16]:
    """Grayscale truncation (OsPenScreen) as a table: clip to the central range, stretch to 0..255.

    Returns:
        uint16 like `picture.levels`, in 1/256 of a grey level, 0..65,280; zeros for a flat centre.
    """
    span = middle.high - middle.low
    if span <= 0:
        return np.zeros(len(picture.levels), np.uint16)
    levels = np.clip(picture.levels, middle.low, middle.high).astype(np.int64) - middle.low
    return ((levels * (2 * 255 * ONE) + span) // (2 * span)).astype(np.uint16)  # to the nearest


def to_model(picture: Display, middle: Centre, size: int) -> npt.NDArray[np.uint8]:
    """Truncate, then resize to uint8 [size, size] by area averaging (no aspect is kept)."""
    return area_average(picture.codes, truncated(picture, middle), size)


def to_model_16(picture: Display, size: int) -> npt.NDArray[np.uint16]:
    """Levels as displayed, resized to uint16 [size, size] by area averaging (no aspect is kept)."""
    return area_average_16(picture.codes, picture.levels, size)
