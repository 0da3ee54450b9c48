"""Each transform that the papers name, alone and always done: for pictures and for statistics."""

from __future__ import annotations

import numpy as np

from training.augmentation import blur, dropout, sets, tone, warp
from training.augmentation.parameters import Parameters
from training.augmentation.sets import Draw


def field(change) -> Draw:
    """A draw of a warp from a function of (field, rng, aspect)."""

    def draw(rng, height, width):
        return Parameters(nodes=np.stack(change(warp.identity(), rng, height / width)))

    return draw


NAMED: dict[str, Draw] = {
    "flip": sets.weak,
    "blur": lambda rng, h, w: Parameters(smoothing=blur.blur(rng, w)),
    "motion blur": lambda rng, h, w: Parameters(smoothing=blur.motion_blur(rng, w)),
    "median blur": lambda rng, h, w: Parameters(smoothing=blur.median_blur(rng, w)),
    "shift-scale-rotate": field(sets.shift_scale_rotate),
    "grid distortion": field(lambda f, rng, _: warp.grid_distortion(f, rng)),
    "elastic": field(lambda f, rng, _: warp.elastic(f, rng)),
    "optical distortion": field(lambda f, rng, _: warp.optical_distortion(f, rng)),
    "gamma": lambda rng, h, w: Parameters(tone=tone.gamma(rng)),
    "grid dropout": lambda rng, h, w: Parameters(holes=dropout.grid_dropout(rng, w)),
    "face affine": field(lambda f, rng, aspect: warp.similarity(f, rng, aspect, 10, 0.1, 0.05)),
    "CLAHE": lambda rng, h, w: Parameters(clahe=rng.uniform(1, 3)),
    "vertical flip": lambda rng, h, w: Parameters(upset=True),
    "rotation": field(lambda f, rng, aspect: warp.similarity(f, rng, aspect, 10, 0, 0)),
    "crop-scale": field(lambda f, rng, _: warp.crop(f, rng, 0.85)),
    "colour jitter": lambda rng, h, w: Parameters(tone=tone.jitter(rng)),
}
#: What each set is made of.
SETS = {
    "strong": (
        *("flip", "blur", "motion blur", "median blur", "shift-scale-rotate", "grid distortion"),
        *("elastic", "optical distortion", "gamma", "grid dropout"),
    ),
    "face": ("flip", "face affine", "CLAHE", "vertical flip"),
    "li": ("flip", "rotation", "crop-scale", "colour jitter"),
}
