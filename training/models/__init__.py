"""Models by name, with real weight loading and no silent random start."""

from training.models.backbone import cam_layer
from training.models.named import build

__all__ = ["build", "cam_layer"]
