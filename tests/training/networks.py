"""Small weights folders that say something: random networks whose answers are spread out."""

from __future__ import annotations

from pathlib import Path

import torch

from training.checkpoint import save_weights
from training.config import Model
from training.models import build
from training.preprocess import Preprocessor

CPU = torch.device("cpu")


def preprocessor(size: int = 48, mean: float = 0.449, std: float = 0.226) -> Preprocessor:
    """Of the 48-pixel packs."""
    return Preprocessor(size=size, mean=mean, std=std, pixels="drawn/1", shape=(48, 48))


def network(seed: int = 0, name: str = "test_convnext", gain: float = 30.0) -> torch.nn.Module:
    """A network with a louder head."""
    torch.manual_seed(seed)
    model = build(Model(name=name, pretrained="none"))
    with torch.no_grad():
        for parameter in model.get_classifier().parameters():  # type: ignore[operator]
            parameter.mul_(gain)
    return model


def weights(
    folder: Path, seed: int = 0, name: str = "test_convnext", gain: float = 30.0, **seen: float
) -> Path:
    """A weights folder; `seen` goes to the preprocessor."""
    made = network(seed, name, gain)
    model = Model(name=name, pretrained="none")
    folder.parent.mkdir(parents=True, exist_ok=True)
    save_weights(folder, made, model, preprocessor(**seen), {}, {})  # type: ignore[arg-type]
    return folder
