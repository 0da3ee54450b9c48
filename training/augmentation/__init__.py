"""Augmentation as a pure function of (seed, draw, sample key).

    from training.augmentation import augment
    picture = augment(picture, "strong", seed=0, draw=epoch, key="asan/0f3a...")

The same picture comes out for any number of workers and ranks and after any restart, and another
one in every epoch. `sets` says which transforms a kind has and where they come from. The parameters
are drawn apart from their use: on a CPU, one picture at a time (`augment`), or in batch where the
model is (`device.augment_batch`).
"""

from __future__ import annotations

import numpy as np

from training.augmentation.parameters import Parameters
from training.augmentation.random import generator
from training.augmentation.sets import KINDS, flips

__all__ = ["KINDS", "Parameters", "augment", "parameters_of", "view_of"]


def parameters_of(
    kind: str, shape: tuple[int, ...], seed: int, draw: int, key: str, strength: float = 1.0
) -> Parameters:
    """What is drawn for a picture of `shape` ([H, W] or [H, W, 3]); ValueError: no such kind."""
    if kind not in KINDS:
        raise ValueError(f"no augmentation {kind!r}: there are {', '.join(KINDS)}")
    return KINDS[kind](generator(seed, draw, key), shape[0], shape[1], strength)


def augment(
    image: np.ndarray, kind: str, seed: int, draw: int, key: str, strength: float = 1.0
) -> np.ndarray:
    """uint8 [H, W] or [H, W, 3], or uint16 [H, W] -> the same; `kind` is one of KINDS.

    `draw` is the epoch, or a finer count where a sample is drawn more often; `strength` (0 to 2) is
    a factor on all amplitudes, see `sets`. ValueError: no such kind, or another picture; of 16
    bits, CLAHE (face).
    """
    if (str(image.dtype), image.ndim) not in (("uint8", 2), ("uint8", 3), ("uint16", 2)):
        raise ValueError(
            f"a picture of {image.dtype} {list(image.shape)}: augmentation takes uint8 [H, W] or "
            "[H, W, 3], or uint16 [H, W], before it is normalised"
        )
    if kind == "none":
        return image
    return parameters_of(kind, image.shape, seed, draw, key, strength).apply(image)


def view_of(seed: int, draw: int, key: str) -> int:
    """Which of a picture's two weak views is drawn: 0 as it is, 1 mirrored.

    It is what `augment(..., "weak")` shows and what `strong` begins with: all there is to know of a
    weak view, so that a teacher need look at each picture twice at most.
    """
    return int(flips(generator(seed, draw, key)))
