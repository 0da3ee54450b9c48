"""What there is to draw of a class's concepts, and whose face may be in it.

Without pictures given, nobody's own face or map is: concept maps are means over at least `PEOPLE`
people on the average face's outline, and crops are not made.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from eval.craft.attention import mean_maps
from eval.craft.crops import Crops
from eval.craft.cut import Cut
from eval.craft.subjects import Subjects, outline

#: Fewer people than this are not averaged into a picture that anybody sees.
PEOPLE = 10


@dataclass(frozen=True)
class Drawings:
    """Of one class.

    - maps: of each concept, the mean over people, float32 [r, H, W] in [0, 1]; None, and `why`.
    - outline: the average face's regions, uint8 [S, S]; None where regions are not known.
    - face: the mean of the pictures, uint8 [S, S, 3]; only where faces may be shown.
    - crops: best crops of each concept and child by its name, uint8 [s, s, 3] each; empty where
      faces may not be shown.
    """

    maps: NDArray[np.float32] | None = None
    why: str = ""
    outline: NDArray[np.uint8] | None = None
    face: NDArray[np.uint8] | None = None
    crops: dict[str, list[NDArray[np.uint8]]] = field(default_factory=dict)


def drawings(
    last: Cut, earlier: Cut, concepts: NDArray[np.float64], subjects: Subjects, batch: int
) -> Drawings:
    """Maps, the outline and the mean face of one class; crops are added by name.

    Args:
        last: where the concepts are.
        earlier: where their maps are.
        concepts: W [r, C].
        subjects: pictures of one class.
        batch: pictures at once.
    """
    people = len(set(subjects.patients))
    if people < PEOPLE and subjects.pictures is None:
        why = f"a mean of {people} people is not shown; {PEOPLE} are the least"
        return Drawings(why=why)
    maps = mean_maps(last, earlier, concepts, subjects, batch)
    lines = None if subjects.regions is None else outline(subjects.regions)
    face = None
    if subjects.pictures is not None:
        face = subjects.pictures.mean(axis=0).round().astype(np.uint8)
    return Drawings(maps, outline=lines, face=face)


def cut_out(subjects: Subjects, crops: Crops) -> list[NDArray[np.uint8]]:
    """The crops in the pictures' own pixels; [] where faces may not be shown."""
    if subjects.pictures is None:
        return []
    scale = subjects.pictures.shape[1] / subjects.images.shape[2]
    side = round(crops.side * scale)
    corners = [
        (round(y * scale), round(x * scale)) for y, x in zip(crops.top, crops.left, strict=True)
    ]
    return [
        subjects.pictures[p, y : y + side, x : x + side]
        for p, (y, x) in zip(crops.picture, corners, strict=True)
    ]
