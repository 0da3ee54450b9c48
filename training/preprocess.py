"""What happens between a shard's picture and the model; travels with the weights."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from pydantic import ValidationError

from data_sharding.pictures.cxr import DTYPES
from data_sharding.schema import Manifest
from training.config import Section
from training.shrink import resize
from training.zscore import standardised


def seen(image: np.ndarray, view: int, sizes: Sequence[int]) -> list[np.ndarray]:
    """A weak view of a shard's picture, as it is (0) or mirrored (1): [s, s(, 3)] for each size.

    Mirrored first: both views are then resized alike.
    """
    if view and sizes:
        image = np.ascontiguousarray(image[:, ::-1])
    return [resize(image, size) for size in sizes]


class Preprocessor(Section):
    """Resize to `size` by area, then (x/white - mean)/std; or `per_image`, see `zscore`.

    Pictures are grey, [H, W], or colour, [H, W, 3]; of these `mean` and `std` may be three numbers.

    `pixels` and `shape` are the shards' own: the treatment before (``cxr/2`` is grayscale
    truncation, ``cxr16/1`` is 16 bits as displayed) and the size. `accept` refuses a dataset that
    was treated otherwise.
    """

    size: int
    mean: float | tuple[float, float, float]
    std: float | tuple[float, float, float]
    per_image: bool = False
    pixels: str
    shape: tuple[int, ...]

    @property
    def dtype(self) -> str:
        """Of the shards' pictures: uint8, or uint16."""
        return DTYPES.get(self.pixels, "uint8")

    def accept(self, manifest: Manifest) -> None:
        """ValueError if the dataset's pictures are not like those the weights were made on."""
        found = manifest.settings.get("pixels"), manifest.image_shape
        if found != (self.pixels, self.shape):
            raise ValueError(
                f"{manifest.name}: pictures of {found[0]} {list(found[1])}; these weights take "
                f"{self.pixels} {list(self.shape)}"
            )

    def resize(self, image: np.ndarray) -> np.ndarray:
        """[H, W(, 3)] -> [size, size(, 3)], of `dtype`; ValueError: not what the weights know."""
        if image.dtype != self.dtype or tuple(image.shape) != self.shape:
            raise ValueError(
                f"a picture of {image.dtype} {list(image.shape)}: these weights take {self.dtype} "
                f"{list(self.shape)} ({self.pixels}); pack it with `python -m data_sharding pack`"
            )
        return resize(image, self.size)

    def normalise(self, images: np.ndarray | torch.Tensor) -> torch.Tensor:
        """[B, size, size] of `dtype` -> float32 [B, 1, size, size], of colour [B, 3, size, size];
        on the same device.
        """
        images = torch.as_tensor(images)
        if self.per_image:
            return standardised(images)
        white = 65535 if images.dtype == torch.uint16 else 255
        x = images.to(torch.float32)
        x = x.unsqueeze(1) if x.ndim == 3 else x.permute(0, 3, 1, 2)
        mean, std = (white * torch.tensor(v, dtype=torch.float64) for v in (self.mean, self.std))
        return x.contiguous().sub_(_by_channel(mean, x)).div_(_by_channel(std, x))

    def __call__(self, images: np.ndarray) -> torch.Tensor:
        """[B, H, W(, 3)] of `dtype`, as the shards hold them -> what `normalise` gives."""
        return self.normalise(np.stack([self.resize(x) for x in images]))

    @classmethod
    def load(cls, folder: Path) -> Preprocessor:
        """Read ``preprocessor.json``; ValueError names the file."""
        path = folder / "preprocessor.json"
        try:
            return cls.model_validate(json.loads(path.read_text()))
        except (OSError, ValueError, ValidationError) as e:
            raise ValueError(f"{path}: weights without preprocessing cannot be used: {e}") from e


def _by_channel(values: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """One number, or three, as float32 [C, 1, 1]."""
    return values.float().view(-1, 1, 1).to(like.device)
