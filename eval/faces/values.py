"""Everything that is computed of pictures, one by one, before anybody is averaged.

found = values(seen, settings)        # stays in memory: it is about single people
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from eval.faces.pixel_shap import by_region, pixel_shap
from eval.faces.references import references
from eval.faces.region_shap import PLAYERS, SCORES, Model, RegionShap, region_shap, to_size
from eval.faces.seen import Seen
from eval.faces.shapes import Settings


@dataclass(frozen=True)
class Pixels:
    """Of n pictures and two explained classes, the own one and the last.

    - total, per_pixel: [n, 2, players], NaN per pixel where a picture has none of a region.
    - maps: float32 [n, h, w] of the own class.
    - gap: [n, 2], how far the sum is from f(x) - f(reference).
    """

    total: NDArray[np.float64]
    per_pixel: NDArray[np.float64]
    maps: NDArray[np.float32]
    gap: NDArray[np.float64]


@dataclass(frozen=True)
class Values:
    """Of n pictures, K classes.

    - regions: exact Shapley values [n, players, K]; full, base: [n, K]; residual: [n].
    - truth, answer: int [n]; patient, sex: object [n].
    - checked: int [m], which pictures random networks were asked about; random: their values
      [networks, m, players, K].
    - pixels: None where they were not asked for, or `no_pixels` says why not.
    - size: sides of the model's input.
    """

    regions: NDArray[np.float64]
    full: NDArray[np.float64]
    base: NDArray[np.float64]
    residual: NDArray[np.float64]
    truth: NDArray[np.int64]
    answer: NDArray[np.int64]
    patient: NDArray[np.object_]
    sex: NDArray[np.object_]
    checked: NDArray[np.int64]
    random: NDArray[np.float64]
    pixels: Pixels | None
    no_pixels: str | None
    size: tuple[int, int]

    @property
    def own(self) -> NDArray[np.float64]:
        """Shapley values of the class that DXA says, [n, players]."""
        return self.regions[np.arange(len(self.truth)), :, self.truth]

    @property
    def right(self) -> NDArray[np.bool_]:
        """Where the model's most probable class is that of DXA, [n]."""
        return self.answer == self.truth


def values(seen: Seen, settings: Settings) -> Values:
    """Explain every face of `seen`.

    Raises:
        ValueError: pictures, landmarks or FaceNet's weights cannot be read; there is nobody to
            compare with; the model's classes are not those of the run.
    """
    own = seen.network(seen.eyes.loaded[0])
    score = SCORES[settings.score]
    found, size = [], (0, 0)
    for i in range(len(seen)):
        picture, others, regions = _inputs(seen, i, settings)
        size = (picture.shape[1], picture.shape[2])
        found.append(region_shap(own(i), picture, regions, others, score))
    classes = found[0].values.shape[1]
    if classes != len(seen.classes):
        raise ValueError(
            f"{seen.eyes.weights}: a model of {classes} classes, whose predictions are of "
            f"{', '.join(seen.classes)}"
        )
    truth = seen.rows["truth"].to_numpy(np.int64)
    full = np.stack([f.full for f in found])
    answer = full.argmax(axis=1)
    right = np.flatnonzero(answer == truth)
    checked = np.sort(right[np.argsort(_lots(seen, right))[: settings.checked]])
    pixels, why = _pixels(seen, settings, found)
    return Values(
        regions=np.stack([f.values for f in found]),
        full=full,
        base=np.stack([f.base for f in found]),
        residual=np.array([f.residual for f in found]),
        truth=truth,
        answer=answer,
        patient=seen.rows["patient"].to_numpy(object),
        sex=seen.rows["sex"].to_numpy(object),
        checked=checked,
        random=_random(seen, settings, checked, classes),
        pixels=pixels,
        no_pixels=why,
        size=size,
    )


def _inputs(
    seen: Seen, i: int, settings: Settings
) -> tuple[torch.Tensor, torch.Tensor, NDArray[np.uint8]]:
    """Face i as the model takes it, its references, and its regions at that size."""
    raw = seen.picture(i)
    both = np.concatenate([raw[None], references(settings.reference, raw, seen.pool)])
    ready = seen.ready(both)
    regions = to_size(seen.regions(i), ready.shape[2], ready.shape[3])
    return ready[0], ready[1:], regions


def _random(
    seen: Seen, settings: Settings, checked: NDArray[np.int64], classes: int
) -> NDArray[np.float64]:
    """Values [networks, m, players, K] of networks that are the model with random weights."""
    from eval.pictures.sanity import randomised

    out = np.zeros((settings.networks, len(checked), len(PLAYERS), classes))
    for n in range(settings.networks):
        network = seen.network(randomised(seen.eyes.loaded[0], n + settings.seed))
        for at, i in enumerate(checked):
            picture, others, regions = _inputs(seen, int(i), settings)
            told = region_shap(
                network(int(i)), picture, regions, others, SCORES[settings.score]
            ).values
            out[n, at] = told
    return out


def _pixels(
    seen: Seen, settings: Settings, found: list[RegionShap]
) -> tuple[Pixels | None, str | None]:
    if not settings.pixels:
        return None, "left out (--no-pixels)"
    network = seen.network(seen.eyes.loaded[0])
    total, per_pixel, maps, gap = [], [], [], []
    for i, truth in enumerate(seen.rows["truth"]):
        picture, others, regions = _inputs(seen, i, settings)
        classes = [int(truth), len(seen.classes) - 1]
        phis = _of_classes(network(i), picture, others, classes, settings)
        parts = [by_region(phi, regions) for phi in phis]
        total.append([p.total for p in parts])
        per_pixel.append([p.per_pixel for p in parts])
        maps.append(phis[0].astype(np.float32))
        apart = [(found[i].full - found[i].base)[c] for c in classes]
        gap.append([phi.sum() - a for phi, a in zip(phis, apart, strict=True)])
    return Pixels(np.array(total), np.array(per_pixel), np.stack(maps), np.array(gap)), None


def _of_classes(
    model: Model,
    picture: torch.Tensor,
    others: torch.Tensor,
    classes: list[int],
    settings: Settings,
) -> list[NDArray[np.float64]]:
    """Maps [h, w] of each class; of one that is named twice once."""
    made = {
        c: pixel_shap(
            model, picture, others, c,
            odds=settings.score == "log odds", samples=settings.samples, seed=settings.seed,
        )
        for c in dict.fromkeys(classes)
    }  # fmt: skip
    return [made[c] for c in classes]


def _lots(seen: Seen, rows: NDArray[np.int64]) -> NDArray:
    """An order that has nothing to do with class or answer: that of the keys, which are hashes."""
    return seen.rows["key"].to_numpy(str)[rows]
