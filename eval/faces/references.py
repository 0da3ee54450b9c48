"""What a region is replaced by when it is taken out of a face: the reference.

Shapley values answer "compared with what?", and there are four answers here:

- people: faces of other people, drawn blind to their class. The values then add up to the score
  minus the mean score of those people. The default: every coalition is made of parts of faces, so
  that the model is asked about little that it never met, and somebody of the middle class, who
  looks like the mean face, is still told apart from the classes on either side.
- mean: one face, the mean of those people's. Cheap, and nobody's; it is smoother than any face, and
  close to people of the middle class, whose values shrink for that reason alone.
- blurred: the same face blurred. Takes away texture and lines, and leaves shape and shading.
- black: nothing. Everything that a region is counts, that it is a face at all foremost.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

Reference = Literal["people", "mean", "blurred", "black"]
REFERENCES: tuple[Reference, ...] = ("people", "mean", "blurred", "black")
#: Standard deviation of the blur, as a share of the picture's side.
BLUR = 1 / 16


def references(
    kind: str, picture: NDArray[np.uint8], others: Sequence[NDArray[np.uint8]]
) -> NDArray[np.uint8]:
    """Reference pictures uint8 [M, H, W, 3] of one picture.

    Args:
        kind: one of `REFERENCES`.
        picture: uint8 [H, W, 3].
        others: of other people, for the first two kinds; M of them for ``people``.

    Raises:
        ValueError: another kind, or nobody to compare with.
    """
    if kind == "black":
        return np.zeros_like(picture)[None]
    if kind == "blurred":
        return np.asarray(cv2.GaussianBlur(picture, (0, 0), BLUR * picture.shape[0]), np.uint8)[
            None
        ]
    if kind not in REFERENCES:
        raise ValueError(f"reference {kind!r}: choose one of {', '.join(REFERENCES)}")
    if not len(others):
        raise ValueError(f"reference {kind}: there is nobody else to compare with; choose blurred")
    return np.stack(others) if kind == "people" else mean_face(others)[None]


def mean_face(pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """The mean of pictures [H, W, 3], pixel by pixel."""
    total = np.zeros(pictures[0].shape, np.float64)
    for picture in pictures:
        total += picture
    return np.round(total / len(pictures)).astype(np.uint8)
