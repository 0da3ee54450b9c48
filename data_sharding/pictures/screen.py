"""Pictures that are not what their header says: wrong exposure, lateral, turned, not a chest.

    from data_sharding.pictures.screen import check
    refused = check(model, shown)     # None, or a `Refused` with the numbers that were seen

Headers lie and PNG files have none, so the picture itself is looked at: the shares of grey levels
at the ends of the scale, noise, and a rule on 8x8 block means whose few numbers are written out in
`screen_rule.py`. The rule refuses little on purpose. A chest turned away here is lost to a
study, a wrong picture that passes is one among thousands, so each limit stands well clear of the
worst real radiograph it was measured on (`python -m tests.bench.screen` prints the margins).
What it cannot do: tell a slightly rotated patient from an oblique view, or a skull from the front
from a chest in every case. Real human laterals were not at hand; the rule knows synthetic ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from data_sharding.ledger import Refused
from data_sharding.pictures import screen_rule as rule

Floats = npt.NDArray[np.float64]

SIDE = 8  # blocks along each side of the picture that the rule looks at
WHITE = 250  # of 255: a margin is at least as bright

# Limits. In brackets the worst of 173 real NIH radiographs, judged by rules fitted to others.
CLIPPED_WHITE = 0.30  # share of the centre at its highest grey, at most (0.02)
CLIPPED_BLACK = 0.30  # share of the centre at its lowest grey, at most (0.0004)
GREYS = 24  # grey levels in the centre, at least (96)
NOISE = 0.15  # noise over contrast in the centre, at most (0.02)
CHEST = -2.5  # logit of a frontal chest, at least (-0.3)
NOTHING_LIKE = -8.0  # below this not even a badly exposed chest (-5.5 in those washed out white)
INVERTED = 4.0  # logit of the negative above that of the picture, at most (-7.9)
TURNED = 4.0  # logit of the picture turned above that of the picture, at most (+0.4)
LATERAL = 4.0  # logit of a lateral above that of a frontal chest, at most (+0.5)
ROUGH = -0.1  # roughness, at most (-0.5)


@dataclass(frozen=True)
class Exposure:
    """Grey levels of the central 50% x 50% of a picture as displayed."""

    white: float  # share at the highest grey (within 1/128 of the range there)
    black: float  # share at the lowest
    greys: int  # different levels
    noise: float  # standard deviation of the noise over the range from 5% to 95%


@dataclass(frozen=True)
class Content:
    """Logits of the rule; above 0 it looks like a frontal chest rather than anything else."""

    upright: float
    inverted: float  # of the negative
    turned: float  # the best of 90, 180 and 270 degrees
    lateral: float  # looks like a lateral chest rather than anything else
    rough: float  # log of mean grey step between neighbours (32x32) over the standard deviation


def check(model: npt.NDArray[np.uint8], shown: npt.NDArray[np.uint16]) -> Refused | None:
    """Whether a picture is a usable frontal chest radiograph, by its grey levels alone.

    Args:
        model: uint8 [S, S], after grayscale truncation and area averaging (`cxr.to_model`).
        shown: uint16 [h, w], a subsample of the picture as displayed, before truncation;
            0..65535, brighter is larger.

    Returns:
        None if nothing speaks against it, or why it is refused. Nothing is raised.
    """
    seen = content(model)
    wrong = content_refusal(seen)
    if wrong and (seen.upright < NOTHING_LIKE or seen.rough > ROUGH):
        return wrong  # a page of text is washed out, too, and no badly exposed chest
    return exposure_refusal(exposure(shown)) or wrong


def exposure(shown: npt.NDArray[np.uint16]) -> Exposure:
    """Statistics of the centre, where `cxr.truncate` also looks: borders and markers are out."""
    height, width = shown.shape
    middle = shown[height // 4 : max(3 * height // 4, 1), width // 4 : max(3 * width // 4, 1)]
    if not middle.size:
        return Exposure(1.0, 1.0, 0, 0.0)
    counts = np.bincount(middle.ravel(), minlength=65536)
    levels = np.flatnonzero(counts)
    low, high = int(levels[0]), int(levels[-1])
    end = (high - low) // 128
    below = np.cumsum(counts)
    dark, light = np.searchsorted(below, (0.05 * below[-1], 0.95 * below[-1]))
    return Exposure(
        white=float(counts[high - end :].sum() / middle.size),
        black=float(counts[: low + end + 1].sum() / middle.size),
        greys=len(levels),
        noise=_noise(middle) / max(float(light - dark), 1.0),
    )


def _noise(middle: npt.NDArray[np.uint16]) -> float:
    """Standard deviation of white noise; a mask blind to flat, sloping and bent surfaces.

    Source: Immerkaer, Fast noise variance estimation, CVIU 64 (1996), by the median instead of
    the mean, so that edges (ribs, wires) count little.
    """
    if min(middle.shape) < 3:
        return 0.0
    mask = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    response = cv2.filter2D(middle, cv2.CV_32F, mask)[1:-1:2, 1:-1:2]  # a quarter is plenty
    return float(np.median(np.abs(response))) / 0.6745 / 6


def content(model: npt.NDArray[np.uint8]) -> Content:
    """Logits of the rule on a picture, its negative and its turns."""
    v = blocks(model)
    negative, turned = -v, (v[::-1], np.rot90(v), np.rot90(v, 3))
    fine = cv2.resize(model, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float64)
    steps = np.abs(np.diff(fine, axis=0)).mean() + np.abs(np.diff(fine, axis=1)).mean()
    return Content(
        upright=_logit(symmetric(v), rule.FRONTAL, rule.FRONTAL_BIAS),
        inverted=_logit(symmetric(negative), rule.FRONTAL, rule.FRONTAL_BIAS),
        turned=max(_logit(symmetric(t), rule.FRONTAL, rule.FRONTAL_BIAS) for t in turned),
        lateral=max(_logit(sided(s), rule.LATERAL, rule.LATERAL_BIAS) for s in (v, v[:, ::-1])),
        rough=float(np.log((steps + 0.01) / (fine.std() + 0.1))),
    )


def blocks(model: npt.NDArray[np.uint8]) -> Floats:
    """Block means [8, 8] of mean 0 and variance 1: brightness and contrast are gone.

    White margins are cut off first, up to a quarter on each side: paper, and unmasked shutters.
    """
    rows, columns = _inside(model.min(axis=1)), _inside(model.min(axis=0))
    inner = model[rows, columns]
    v = cv2.resize(inner, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float64)
    return (v - v.mean()) / (v.std() + 1e-3)


def _inside(darkest: npt.NDArray[np.uint8]) -> slice:
    """What is left of rows (or columns) after white ones at either end, given their minima."""
    at_most = len(darkest) // 4
    dark = np.flatnonzero(darkest[: at_most + 1] < WHITE)
    first = int(dark[0]) if len(dark) else at_most
    dark = np.flatnonzero(darkest[::-1][: at_most + 1] < WHITE)
    return slice(first, len(darkest) - (int(dark[0]) if len(dark) else at_most))


def symmetric(v: Floats) -> Floats:
    """65 features blind to a mirror: the halves' mean, its square, and how much they differ.

    With the square a block may be wanted dark, bright, or of middle grey.
    """
    half = ((v + v[:, ::-1]) / 2)[:, : SIDE // 2].ravel()
    differ = np.sqrt((((v - v[:, ::-1]) / 2) ** 2).mean())
    return np.concatenate([half, half**2, [differ]])


def sided(v: Floats) -> Floats:
    """The 64 block means themselves: a lateral has a front and a back."""
    return v.ravel()


def _logit(features: Floats, weights: tuple[float, ...], bias: float) -> float:
    return float(features @ np.asarray(weights)) + bias


def exposure_refusal(seen: Exposure) -> Refused | None:
    """What is wrong with the exposure, or None."""
    if seen.white > CLIPPED_WHITE:
        return Refused("under_exposed", f"{seen.white:.0%} of the centre is one white")
    if seen.black > CLIPPED_BLACK:
        return Refused("over_exposed", f"{seen.black:.0%} of the centre is one black")
    if seen.greys < GREYS:
        return Refused("under_exposed", f"only {seen.greys} grey levels in the centre")
    if seen.noise > NOISE:
        return Refused("under_exposed", f"noise is {seen.noise:.0%} of the contrast")
    return None


def content_refusal(seen: Content) -> Refused | None:
    """What the picture looks like instead of an upright frontal chest, or None."""
    frontal = f"frontal chest {seen.upright:+.1f}"
    if seen.rough > ROUGH:
        return Refused("looks_not_chest", f"roughness {seen.rough:+.2f}, {frontal}")
    if seen.inverted > max(0.0, seen.upright + INVERTED):
        return Refused("looks_inverted", f"{frontal}, its negative {seen.inverted:+.1f}")
    if seen.turned > max(0.0, seen.upright + TURNED):
        return Refused("looks_turned", f"{frontal}, turned {seen.turned:+.1f}")
    if seen.lateral > max(0.0, seen.upright + LATERAL):
        return Refused("looks_lateral", f"{frontal}, lateral chest {seen.lateral:+.1f}")
    if seen.upright < CHEST:
        return Refused("looks_not_chest", frontal)
    return None
