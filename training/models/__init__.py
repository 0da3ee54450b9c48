"""Models by name, with real weight loading and no silent random start."""

from training.models.backbone import build, cam_layer

__all__ = ["build", "cam_layer"]
