"""From the maps of a cohort's pictures to shares of attention, one table for each answer."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from eval.frames import Frame
from eval.learnt import Learnt
from eval.pictures.attention import averaged, of_region, table
from eval.pictures.explained import Looked

#: Longer side of a map that is measured, in pixels: Grad-CAM's own maps are coarser.
MEASURED = 128


def small(maps: NDArray[np.float32], side: int = MEASURED) -> NDArray[np.float32]:
    """Maps [n, H, W] of at most `side` pixels a side, by area."""
    height, width = maps.shape[1:]
    scale = min(side / max(height, width), 1)
    size = (round(width * scale), round(height * scale))
    return np.stack([cv2.resize(m, size, interpolation=cv2.INTER_AREA) for m in maps])


def looked(
    cohort: str,
    frame: Frame,
    own: NDArray,
    controls: list[NDArray],
    regions: list[dict],
    learnt: Learnt,
) -> list[Looked]:
    """One `Looked` for each answer that the model gave."""
    found = []
    for answer in (1, 0):
        of = np.flatnonzero(frame["answer"] == answer)
        if not of.size:
            continue
        patients = frame["patient"].to_numpy()[of]
        seen = [of_region(own[i], regions[i]) for i in of]
        chance = [averaged([of_region(c[i], regions[i]) for c in controls]) for i in of]
        found.append(
            Looked(
                cohort=cohort,
                answer=learnt.of_answer(answer),
                pictures=of.size,
                patients=np.unique(patients).size,
                zero_maps=sum(a.share is None for a in seen),
                regions=table(seen, patients, chance),
            )
        )
    return found
