"""Grad-CAM: where the evidence for a class lies (Selvaraju et al., ICCV 2017).

``w_c = mean over the map of dy/dA_c``, ``L = ReLU(sum_c w_c A_c)``, then ``(L - min) / max`` and
bilinear resizing to the input. y is the logit, before any softmax: a saturated probability has no
gradient left. A map with no positive evidence stays zero and says so; scaling it up would show
noise as a finding.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import Module
from torch.nn.functional import interpolate


@dataclass(frozen=True)
class CAM:
    """maps: float [B, H, W] in [0, 1]; positive: bool [B], False where a map is all zero."""

    maps: torch.Tensor
    positive: torch.Tensor


def class_logit(output: torch.Tensor, target: int) -> torch.Tensor:
    """The logit [B] of class `target` in {0, 1}.

    Two logits [B, 2] are taken as they are; of one logit z ([B] or [B, 1]) the positive class
    has z and the negative class -z.

    Raises:
        ValueError: another shape or another class.
    """
    if target not in (0, 1):
        raise ValueError(f"class {target}: 0 is normal, 1 is low bone mass")
    if output.ndim == 2 and output.shape[1] == 2:
        return output[:, target]
    if output.ndim == 1 or (output.ndim == 2 and output.shape[1] == 1):
        return output.reshape(-1) if target == 1 else -output.reshape(-1)
    raise ValueError(f"a binary model gives [B], [B, 1] or [B, 2] logits, not {[*output.shape]}")


def gradcam(model: Module, layer: Module, images: torch.Tensor, target: int) -> CAM:
    """Explain class `target` for each image.

    Args:
        model: in eval mode, images -> logits; frozen weights are fine.
        layer: a module of `model` whose output is [B, C, h, w] and is used once.
        images: float [B, channels, H, W], preprocessed.
        target: 0 or 1.

    Raises:
        ValueError: the model is in training mode, the layer did not run or gives no such output,
            or the logit does not depend on it.
    """
    if model.training:
        raise ValueError("call model.eval() first: batch statistics would mix the images")
    kept: list[torch.Tensor] = []

    def keep(_module: Module, _inputs: tuple, output: torch.Tensor) -> None:
        kept.append(output)

    handle = layer.register_forward_hook(keep)
    try:
        with torch.enable_grad():
            logit = class_logit(model(images.detach().requires_grad_()), target).sum()
    finally:
        handle.remove()
    if len(kept) != 1 or not isinstance(kept[0], torch.Tensor) or kept[0].ndim != 4:
        raise ValueError("the Grad-CAM layer must run once per forward and give [B, C, h, w]")
    (gradient,) = torch.autograd.grad(logit, kept[0], allow_unused=True)
    if gradient is None:
        raise ValueError("the logit does not depend on the Grad-CAM layer")
    # activation, gradient: (B, C, h, w); weights: (B, C, 1, 1)
    weights = gradient.mean(dim=(2, 3), keepdim=True)
    raw = torch.relu((weights * kept[0].detach()).sum(dim=1))
    positive = raw.amax(dim=(1, 2)) > 0
    low = raw.amin(dim=(1, 2), keepdim=True)
    scaled = (raw - low) / (1e-7 + (raw - low).amax(dim=(1, 2), keepdim=True))
    maps = interpolate(
        scaled[:, None], size=images.shape[2:], mode="bilinear", align_corners=False
    )[:, 0]
    return CAM(maps.clamp(0, 1), positive)
