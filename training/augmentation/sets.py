"""The sets of transforms that the papers name, each a draw of parameters from a random stream.

weak    OsPenScreen's teacher: a horizontal flip.
strong  OsPenScreen's student, nine more: Blur, MotionBlur, MedianBlur, ShiftScaleRotate,
        GridDistortion, ElasticTransform, OpticalDistortion, RandomGamma, GridDropout. It begins
        with the draw that weak is, so that a student and its teacher see the same side.
face    Face2Bone: horizontal flip, affine, CLAHE. The paper lists a vertical flip too; no face is
        met upside down, so that it is a set of its own, face_upset.
li      Li et al.: horizontal flip, rotation, crop-scale, and colour jitter, which on one channel is
        brightness, contrast and gamma. Of the whole picture, before it is tiled: geometry must
        agree across tiles. Where each picture is z-scored afterwards, brightness and contrast are
        taken away again but for what they clip; gamma stays.

The papers name transforms and give neither amplitudes nor probabilities: those are ours. Amplitudes
were chosen such that each does something that can be seen and none makes another picture of it
(docs/augmentation-*.jpg). Of the strong set one of the three distortions (half of the time) is
composed with ShiftScaleRotate (always); then one of the three blurs (.3), gamma (.5), dropout (.3):
with all nine on each picture little is left to see.

Strength is a factor on this: amplitudes are so many times as large; blurs, CLAHE and dropout, which
have none (CLAHE changes a picture most where its limit is lowest), come so many times as often, at
most always. At 0 a flip is left, at 1 it is the set as it is above. A flip has no strength, so that
a student and its teacher see the same side.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from training.augmentation import tone, warp
from training.augmentation.blur import blur, median_blur, motion_blur
from training.augmentation.dropout import grid_dropout
from training.augmentation.parameters import Parameters
from training.augmentation.random import Rng

DISTORTIONS = (warp.grid_distortion, warp.elastic, warp.optical_distortion)
BLURS = (blur, motion_blur, median_blur)
#: Of one random stream, for a picture of height and width, so strong
Draw = Callable[[Rng, int, int, float], Parameters]


def flips(rng: Rng) -> bool:
    """Half of the time."""
    return bool(rng.random() < 0.5)


def shift_scale_rotate(field: warp.Field, rng: Rng, aspect: float, by: float = 1.0) -> warp.Field:
    """Rotate by up to 10 degrees, scale by up to 10%, shift by up to 6% of the sides."""
    return warp.similarity(field, rng, aspect, degrees=10 * by, zoom=0.1 * by, shift=0.06 * by)


def none(rng: Rng, height: int, width: int, strength: float = 1.0) -> Parameters:
    """The picture as it is."""
    return Parameters()


def weak(rng: Rng, height: int, width: int, strength: float = 1.0) -> Parameters:
    """Left to right, half of the time."""
    return Parameters(mirror=flips(rng))


def strong(rng: Rng, height: int, width: int, strength: float = 1.0) -> Parameters:
    """A flip; one warp, of one or two fields; one of three blurs; gamma; grid dropout."""
    mirror, field = flips(rng), warp.identity()
    if rng.random() < 0.5:
        field = DISTORTIONS[rng.integers(3)](field, rng, strength)
    field = shift_scale_rotate(field, rng, height / width, strength)
    often = 0.3 * strength
    return Parameters(
        mirror=mirror,
        nodes=np.stack(field),
        smoothing=BLURS[rng.integers(3)](rng, width) if rng.random() < often else None,
        tone=tone.gamma(rng, strength) if rng.random() < 0.5 else None,
        holes=grid_dropout(rng, width) if rng.random() < often else None,
    )


def face(rng: Rng, height: int, width: int, strength: float = 1.0) -> Parameters:
    """A flip; rotate by 10 degrees, scale by 10%, shift by 5% at most; CLAHE half of the time."""
    mirror, by = flips(rng), strength
    field = warp.similarity(warp.identity(), rng, height / width, 10 * by, 0.1 * by, 0.05 * by)
    clip = rng.uniform(1, 3) if rng.random() < 0.5 * by else None
    return Parameters(mirror=mirror, nodes=np.stack(field), clahe=clip)


def face_upset(rng: Rng, height: int, width: int, strength: float = 1.0) -> Parameters:
    """As `face`, and top to bottom half of the time."""
    drawn = face(rng, height, width, strength)
    return Parameters(drawn.mirror, flips(rng), nodes=drawn.nodes, clahe=drawn.clahe)


def li(rng: Rng, height: int, width: int, strength: float = 1.0) -> Parameters:
    """A flip; rotate by up to 10 degrees within a crop of 85% of the sides or more; jitter."""
    mirror = flips(rng)
    field = warp.crop(warp.identity(), rng, 1 - 0.15 * strength)
    field = warp.similarity(field, rng, height / width, 10 * strength, 0, 0)
    return Parameters(mirror=mirror, nodes=np.stack(field), tone=tone.jitter(rng, strength))


KINDS: dict[str, Draw] = {
    "none": none,
    "weak": weak,
    "strong": strong,
    "face": face,
    "face_upset": face_upset,
    "li": li,
}
