"""What the quality rules look at in the pixels of one aligned face, before it is masked."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from data_sharding.faces.regions import REGIONS

Pixels = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.uint8]

BLUR_SIDE = 256  # of the picture sharpness is judged in: what the model sees, and a little more
STRONG = 0.1  # share of differences, the largest, that count as edges
WIDE = 9  # pixels of BLUR_SIDE over which an edge is averaged once more


class Light(NamedTuple):
    """Of a face: 5th and 95th percentile of luma, 0..255; share of pixels burnt to white."""

    low: float
    high: float
    burnt: float


def sharpness(picture: Pixels, labels: Labels) -> float:
    """How much of its strongest edges a face would lose to more blur, in the blurrier direction.

    After Crete et al. 2007 (what is blurred already loses little), but of the strongest tenth of
    edges only, which noise and compression hardly change. 0 where there are none.

    Args:
        picture: uint8 [S, S, 3], RGB.
        labels: uint8 [S, S], 0 outside the face: not looked at, nor is its border.
    """
    side = (BLUR_SIDE, BLUR_SIDE)
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    small = np.asarray(cv2.resize(grey, side, interpolation=cv2.INTER_AREA), np.float32)
    face = cv2.resize((labels > 0).astype(np.uint8), side, interpolation=cv2.INTER_NEAREST)
    inside = np.asarray(cv2.erode(face, np.ones((WIDE + 4, WIDE + 4), np.uint8)), bool)
    return min(_kept(small, inside), _kept(small.T, inside.T))


def _kept(grey: npt.NDArray[np.float32], inside: npt.NDArray[np.bool_]) -> float:
    """Share of the differences along rows that an average over WIDE pixels takes away."""
    blurred = cv2.blur(np.ascontiguousarray(grey), (WIDE, 1))
    where = inside[:, 1:]
    before = np.abs(np.diff(grey))[where]
    after = np.abs(np.diff(blurred))[where]
    if not len(after):
        return 0.0
    strong = after >= np.quantile(after, 1 - STRONG) - 1e-3  # not some of what is the same
    lost = np.maximum(before - after, 0)[strong].sum(dtype=np.float64)
    return float(lost / max(before[strong].sum(dtype=np.float64), 1e-9))


def light(picture: Pixels, labels: Labels) -> Light:
    """The light on a face. `picture`: uint8 [S, S, 3], RGB; `labels`: uint8 [S, S], 0 outside."""
    face = (labels > 0).view(np.uint8)
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    counts = cv2.calcHist([grey], [0], face, [256], [0, 256]).ravel()
    below = np.cumsum(counts, dtype=np.float64)  # pixels of at most this luma
    low, high = (float(np.searchsorted(below, share * below[-1])) for share in (0.05, 0.95))
    white = cv2.inRange(picture, (250, 250, 250), (255, 255, 255))
    burnt = cv2.countNonZero(cv2.bitwise_and(white, white, mask=face))
    return Light(low, high, burnt / max(below[-1], 1.0))


def bare(picture: Pixels, labels: Labels, brows: float) -> float:
    """Share of the forehead above the brows that has the colour of the cheeks, 0..1.

    Colour is chroma by lightness in CIELAB, which exposure hardly changes; how far apart two skin
    colours of one face may be is taken from the cheeks themselves.

    Args:
        picture: uint8 [S, S, 3], RGB.
        labels: uint8 [S, S], of `regions.region_map`.
        brows: the row that the brows reach up to; the region's temples and glabella lie below.
    """
    side = (128, 128)
    small = cv2.resize(picture, side, interpolation=cv2.INTER_AREA)
    where = cv2.resize(labels, side, interpolation=cv2.INTER_NEAREST)
    lab = np.asarray(cv2.cvtColor(np.float32(small) / np.float32(255), cv2.COLOR_RGB2Lab))  # type: ignore[call-overload]
    lab = np.maximum(lab, (1, -128, -128))
    cheeks = lab[where == REGIONS.index("midface") + 1]
    above = max(round(brows * side[0] / len(labels)), 0)
    forehead = lab[:above][where[:above] == REGIONS.index("forehead") + 1]
    if not len(cheeks) or not len(forehead):
        return 0.0
    middle = np.median(cheeks, axis=0)

    def apart(some: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        return np.linalg.norm(some[:, 1:] / some[:, :1] - middle[1:] / middle[0], axis=1)

    allowed = max(0.16, 2 * float(np.median(apart(cheeks))))
    brightness = forehead[:, 0] / middle[0]
    skin = (apart(forehead) < allowed) & (brightness > 0.6) & (brightness < 1.45)
    return float(skin.mean())
