"""Grad-CAM over any of our models, as arrays: see `eval.pictures.gradcam`."""

from eval.pictures.gradcam import CAM, class_logit, gradcam

__all__ = ["CAM", "class_logit", "gradcam"]
