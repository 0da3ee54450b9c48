"""Where a class's concepts lie: maps of pictures, of people on average, and shares of regions.

Two kinds of maps, for two ends. `attention` is what classes are compared by: a picture's concepts
place by place, each weighted by its importance, on the last map's own grid, exact but coarse.
`mean_maps` are for the eye: Grad-CAM with a concept in a logit's place, at the earlier stage.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from eval.craft.cut import Cut
from eval.craft.implicit import concept_maps
from eval.craft.shapes import Share
from eval.craft.subjects import SIDE, Subjects, resized


def attention(
    places: NDArray[np.float64], weights: NDArray[np.float64], side: int = SIDE
) -> NDArray[np.float64]:
    """Sum over concepts of weight x amount, >= 0, float64 [N, side, side].

    Args:
        places: U [N, h, w, r].
        weights: importance [r] >= 0; NaN counts nothing.
        side: of the maps.
    """
    return enlarged(places @ np.nan_to_num(weights), side)


def enlarged(maps: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """Maps [N, h, w] between whose places values run straight: [N, side, side]."""
    return np.stack([cv2.resize(m, (side, side), interpolation=cv2.INTER_LINEAR) for m in maps])


def mean_maps(
    last: Cut, earlier: Cut, concepts: NDArray[np.float64], subjects: Subjects, batch: int
) -> NDArray[np.float32]:
    """Each concept's map, the mean over people of their own means: [r, H, W] in [0, 1].

    Args:
        last: where the concepts are.
        earlier: where their maps are.
        concepts: W [r, C].
        subjects: all of them are averaged.
        batch: pictures at once.
    """
    people, code = np.unique(np.asarray(subjects.patients), return_inverse=True)
    weight = 1 / (len(people) * np.bincount(code)[code])
    total = torch.zeros(())
    for i in range(0, len(code), batch):
        told = None if subjects.face is None else subjects.face[i : i + batch]
        maps = concept_maps(last, earlier, concepts, subjects.images[i : i + batch], told)
        of = torch.from_numpy(weight[i : i + batch]).to(maps)
        total = total + torch.einsum("b,brhw->rhw", of, maps).cpu()
    return total.float().numpy()


def shares(
    maps: NDArray[np.float64], regions: NDArray[np.uint8], names: tuple[str, ...]
) -> tuple[Share, ...]:
    """Of what lies inside the face, the mean share of each region, beside its share of the area.

    First comes the region that has most for its size.

    Args:
        maps: of one concept, >= 0, [N, h, w].
        regions: uint8 [N, S, S].
        names: of regions 1, 2, ...
    """
    large = enlarged(maps, SIDE)
    at = resized(regions, (SIDE, SIDE))
    whole = (large * (at > 0)).sum(axis=(1, 2))
    there = whole > 0
    found = []
    for k, name in enumerate(names, start=1):
        held = (large * (at == k)).sum(axis=(1, 2))[there] / whole[there]
        area = (at == k).sum(axis=(1, 2)) / np.maximum((at > 0).sum(axis=(1, 2)), 1)
        share = float(held.mean()) if there.any() else 0.0
        found.append(Share(region=name, share=share, area=float(area.mean())))
    return tuple(sorted(found, key=lambda s: -s.share / max(s.area, np.finfo(float).tiny)))
