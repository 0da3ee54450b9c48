"""Whom CRAFT looks at: pictures as the model takes them, its answers, where the face is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

#: A side of the maps that are compared between classes.
SIDE = 56


@dataclass(frozen=True)
class Subjects:
    """N pictures.

    - keys, patients: [N].
    - images: float [N, 3, H, W] as the preprocessor gives them, on the model's device.
    - predicted: int [N], the model's own answers.
    - face: FaceNet's embeddings [N, 512], held fixed; None where there is no face branch.
    - regions: uint8 [N, S, S], 0 outside the face and k in `region_names[k - 1]`; None where
      nothing is known, and then all of the picture counts.
    - pictures: uint8 [N, S, S, 3], given only where faces may be shown: what is made of them is.
    """

    keys: Sequence[str]
    patients: Sequence[str]
    images: torch.Tensor
    predicted: NDArray[np.int64]
    face: torch.Tensor | None = None
    regions: NDArray[np.uint8] | None = None
    region_names: tuple[str, ...] = ()
    pictures: NDArray[np.uint8] | None = None

    def __post_init__(self) -> None:
        n = len(self.images)
        given = (self.keys, self.patients, self.predicted, self.face, self.regions, self.pictures)
        if wrong := [len(x) for x in given if x is not None and len(x) != n]:
            raise ValueError(f"{n} images beside a list of {wrong[0]}: give one for each")
        if self.regions is not None and self.regions.max(initial=0) > len(self.region_names):
            raise ValueError(f"region {self.regions.max()} has no name: name all of them")

    def some(self, which: NDArray[np.int64]) -> Subjects:
        """Those of an index."""
        at = torch.from_numpy(which).to(self.images.device)
        return Subjects(
            [self.keys[int(i)] for i in which],
            [self.patients[int(i)] for i in which],
            self.images[at],
            self.predicted[which],
            None if self.face is None else self.face[at.to(self.face.device)],
            None if self.regions is None else self.regions[which],
            self.region_names,
            None if self.pictures is None else self.pictures[which],
        )

    def drawn(self, target: int, most: int, seed: int) -> NDArray[np.int64]:
        """At most `most` pictures that were called `target`: everybody's first one before anyone's
        second; the draw depends on nothing but keys and the seed.
        """
        here = np.flatnonzero(self.predicted == target).tolist()
        here.sort(key=lambda i: self.keys[i])
        np.random.default_rng([seed, 3, target]).shuffle(here)
        seen: dict[str, int] = {}
        turn = []
        for i in here:
            turn.append(seen.get(self.patients[i], 0))
            seen[self.patients[i]] = turn[-1] + 1
        order = np.argsort(turn, kind="stable")[:most]
        return np.sort(np.array(here, np.int64)[order])

    def masks(self) -> NDArray[np.bool_] | None:
        """What lies inside the face, bool [N, H, W] of the images' size; None where not known."""
        if self.regions is None:
            return None
        return resized(self.regions, (self.images.shape[2], self.images.shape[3])) > 0


def resized(regions: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Regions [N, S, S] at another size (height, width): each place has that of its middle."""
    return np.stack(
        [cv2.resize(r, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT) for r in regions]
    ).astype(np.uint8)


def outline(regions: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The region that most pictures have at each place: [N, S, S] -> [S, S]; ties: the lowest."""
    counts = np.stack([(regions == k).sum(axis=0) for k in range(int(regions.max(initial=0)) + 1)])
    return counts.argmax(axis=0).astype(np.uint8)
