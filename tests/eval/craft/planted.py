"""Coloured pictures in which two textures decide the class, and other things do not.

Each picture holds a stripe patch (class 1) or a dot patch (class 2), or neither (class 0), beside
checkered distractors as bright as both, somewhere in a 3 x 3 grid on a ground of any colour.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

SIDE, CELL = 48, 16
CLASSES = ("plain", "striped", "dotted")
STRIPES, DOTS, CHECKS = "stripes", "dots", "checks"


@dataclass(frozen=True)
class Planted:
    """images float32 [N, 3, 48, 48]; label int [N]; cell int [N, 2], row and column of the texture
    that decides, -1 where there is none."""

    images: torch.Tensor
    label: np.ndarray
    cell: np.ndarray
    distractor: np.ndarray


def texture(kind: str) -> np.ndarray:
    """[CELL, CELL] in -1 and 1, balanced."""
    y, x = np.mgrid[:CELL, :CELL]
    if kind == STRIPES:
        return np.where(y // 2 % 2, 1.0, -1.0)
    if kind == DOTS:
        return np.where(x // 2 % 2, 1.0, -1.0)
    return np.where((y // 2 + x // 2) % 2, 1.0, -1.0)


def planted(n: int, seed: int) -> Planted:
    """n pictures, classes in turn."""
    rng = np.random.default_rng(seed)
    images = np.empty((n, 3, SIDE, SIDE), np.float32)
    label = np.arange(n) % 3
    cell = np.full((n, 2), -1)
    distractor = np.full((n, 2), -1)
    for i in range(n):
        images[i] = rng.uniform(-0.4, 0.4, (3, 1, 1)) + rng.normal(0, 0.1, (3, SIDE, SIDE))
        places = rng.permutation(9)[:3]
        kinds = [CHECKS, CHECKS]
        if label[i]:
            kinds[0] = STRIPES if label[i] == 1 else DOTS
            cell[i] = divmod(int(places[0]), 3)
        distractor[i] = divmod(int(places[1]), 3)
        for kind, place in zip(kinds, places, strict=False):
            r, c = divmod(int(place), 3)
            colour = rng.uniform(0.4, 0.8, (3, 1, 1))
            at = (slice(None), slice(r * CELL, (r + 1) * CELL), slice(c * CELL, (c + 1) * CELL))
            images[i][at] += colour * texture(kind)
    return Planted(torch.from_numpy(images), label, cell, distractor)


class Small(nn.Module):
    """Three stages, a mean over places, a linear head: shaped as Face2Bone is."""

    def __init__(self, seed: int, classes: int = 3, signed: bool = False) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.stem = nn.Sequential(nn.Conv2d(3, 12, 5, 2, 2), nn.BatchNorm2d(12), nn.ReLU())
        last = nn.GELU() if signed else nn.ReLU()
        self.stages = nn.ModuleList(
            [Stage(12, 16, nn.ReLU(), 1), Stage(16, 24, nn.ReLU(), 2), Stage(24, 24, last, 2)]
        )
        self.head = nn.Linear(24, classes)

    def features(self, images: torch.Tensor, face: torch.Tensor | None = None) -> torch.Tensor:
        x = self.stem(images)
        for stage in self.stages:
            x = stage(x, face)
        return x

    def classify(self, maps: torch.Tensor) -> torch.Tensor:
        return self.head(maps.mean((2, 3)))

    def forward(self, images: torch.Tensor, face: torch.Tensor | None = None) -> torch.Tensor:
        return self.classify(self.features(images, face))


class Stage(nn.Module):
    def __init__(self, before: int, after: int, last: nn.Module, pool: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            nn.Conv2d(before, after, 3, 1, 1), nn.BatchNorm2d(after), last, nn.MaxPool2d(pool)
        )

    def forward(self, x: torch.Tensor, face: torch.Tensor | None) -> torch.Tensor:
        return self.inner(x)


def trained(seed: int, steps: int = 90, signed: bool = False) -> Small:
    """A network that has learnt the textures."""
    model = Small(seed, signed=signed).train()
    data = planted(600, seed + 100)
    label = torch.from_numpy(data.label)
    adam = torch.optim.Adam(model.parameters(), 3e-3)
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        some = torch.from_numpy(rng.integers(0, len(label), 32))
        loss = nn.functional.cross_entropy(model(data.images[some]), label[some])
        adam.zero_grad()
        loss.backward()
        adam.step()
    return model.eval()
