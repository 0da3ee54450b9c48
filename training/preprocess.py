"""What happens between a shard's uint8 picture and the model; travels with the weights."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from pydantic import ValidationError

from data_sharding.schema import Manifest
from training.config import Section
from training.shrink import resize


def seen(image: np.ndarray, view: int, sizes: Sequence[int]) -> list[np.ndarray]:
    """A weak view of a shard's picture, as it is (0) or mirrored (1): uint8 [s, s] for each size.

    Mirrored first: both views are then resized alike.
    """
    if view and sizes:
        image = np.ascontiguousarray(image[:, ::-1])
    return [resize(image, size) for size in sizes]


class Preprocessor(Section):
    """Resize to `size` by area, then (x/255 - mean)/std.

    `pixels` and `shape` are the shards' own: the treatment before (``cxr/1`` is grayscale
    truncation) and the size. `accept` refuses a dataset that was treated otherwise.
    """

    size: int
    mean: float
    std: float
    per_image: bool = False
    pixels: str
    shape: tuple[int, ...]

    def accept(self, manifest: Manifest) -> None:
        """ValueError if the dataset's pictures are not like those the weights were made on."""
        found = manifest.settings.get("pixels"), manifest.image_shape
        if found != (self.pixels, self.shape):
            raise ValueError(
                f"{manifest.name}: pictures of {found[0]} {list(found[1])}; these weights take "
                f"{self.pixels} {list(self.shape)}"
            )

    def resize(self, image: np.ndarray) -> np.ndarray:
        """uint8 [H, W] -> uint8 [size, size]; ValueError if it is not what the weights know."""
        if image.dtype != np.uint8 or tuple(image.shape) != self.shape:
            raise ValueError(
                f"a picture of {image.dtype} {list(image.shape)}: these weights take uint8 "
                f"{list(self.shape)} ({self.pixels}); pack it with `python -m data_sharding pack`"
            )
        return resize(image, self.size)

    def normalise(self, images: np.ndarray | torch.Tensor) -> torch.Tensor:
        """uint8 [B, size, size] -> float32 [B, 1, size, size], on the same device."""
        x = torch.as_tensor(images).to(torch.float32).unsqueeze(1)
        return x.sub_(255 * self.mean).div_(255 * self.std)

    def __call__(self, images: np.ndarray) -> torch.Tensor:
        """uint8 [B, H, W] as the shards hold them -> float32 [B, 1, size, size]."""
        return self.normalise(np.stack([self.resize(x) for x in images]))

    @classmethod
    def load(cls, folder: Path) -> Preprocessor:
        """Read ``preprocessor.json``; ValueError names the file."""
        path = folder / "preprocessor.json"
        try:
            return cls.model_validate(json.loads(path.read_text()))
        except (OSError, ValueError, ValidationError) as e:
            raise ValueError(f"{path}: weights without preprocessing cannot be used: {e}") from e
