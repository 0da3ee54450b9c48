"""Grad-CAM: where the evidence for a class lies (Selvaraju et al., ICCV 2017).

``w_c = mean over the map of dy/dA_c``, ``L = ReLU(sum_c w_c A_c)``, then ``(L - min) / max`` and
bilinear resizing to the input. y is the logit, before any softmax: a saturated probability has no
gradient left. A map with no positive evidence stays zero and says so; scaling it up would show
noise as a finding.

::

    cam = gradcam(model, cam_layer(model), images, target=1)
    cam.maps        # [B, H, W]

A model that cuts the picture into a grid of blocks has weights w_c of its own for each block. The
blocks' maps are put together before ReLU and scaling, once over the whole picture: scaled block by
block, a block in which nothing lies would look as bright as any.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isqrt

import torch
from torch.nn import Module
from torch.nn.functional import interpolate

#: Logits [B], [B, 1] or [B, K] -> what is explained of each image, [B].
Score = Callable[[torch.Tensor], torch.Tensor]
#: Share of its largest value by which a map must vary.
FLAT = 1e-6


@dataclass(frozen=True)
class CAM:
    """maps: float [B, H, W] in [0, 1]; positive: bool [B], False where a map is all zero."""

    maps: torch.Tensor
    positive: torch.Tensor


def class_logit(output: torch.Tensor, target: int | Sequence[int]) -> torch.Tensor:
    """The logit [B] of class `target`, or of a class for each image.

    Of K logits [B, K] the target's is taken as it is; of one logit z ([B] or [B, 1]) the positive
    class has z and the negative class -z.

    Raises:
        ValueError: another shape, another class, or not one class for each image.
    """
    one = output.ndim == 1 or (output.ndim == 2 and output.shape[1] == 1)
    if not one and (output.ndim != 2 or output.shape[1] == 0):
        raise ValueError(f"a classifier gives [B], [B, 1] or [B, K] logits, not {[*output.shape]}")
    classes = 2 if one else output.shape[1]
    targets = [target] * len(output) if isinstance(target, int) else [int(t) for t in target]
    if len(targets) != len(output):
        raise ValueError(f"{len(targets)} classes for {len(output)} images: give one for each")
    if wrong := sorted({t for t in targets if not 0 <= t < classes}):
        raise ValueError(f"class {wrong[0]}: this model has classes 0 to {classes - 1}")
    column = torch.tensor(targets, device=output.device)
    if one:
        return output.reshape(-1) * (2 * column - 1)
    return output.gather(1, column[:, None])[:, 0]


def gradcam(
    model: Module,
    layer: Module,
    images: torch.Tensor,
    target: int | Sequence[int] | Score,
    grid: tuple[int, int] = (1, 1),
) -> CAM:
    """Explain class `target` for each image.

    Args:
        model: in eval mode, images -> logits; frozen weights are fine.
        layer: a module of `model` that is used once. Its output is [N, C, h, w]; or [N, h, w, C]
            where the model says so (timm's ``output_fmt``); or tokens [N, T, C] of a square of
            patches, behind ``model.num_prefix_tokens`` others.
        images: float [B, channels, H, W], preprocessed.
        target: the class, or one for each image; or what to explain in place of a class's logit.
        grid: rows and columns of blocks that the model cuts an image into. N is then B times their
            number, row by row; or B, where the model has put the maps of the blocks together.

    Raises:
        ValueError: the model is in training mode, the layer did not run or gives no such output,
            the logit does not depend on it, or something in it is not finite.
    """
    if model.training:
        raise ValueError("call model.eval() first: batch statistics would mix the images")
    kept: list[torch.Tensor] = []

    def keep(_module: Module, _inputs: tuple, output: torch.Tensor) -> torch.Tensor:
        kept.append(output)
        # What follows may work in place, and must not on what was kept.
        return output.clone() if isinstance(output, torch.Tensor) else output

    handle = layer.register_forward_hook(keep)
    try:
        with torch.enable_grad():
            output = model(images.detach().requires_grad_())
            logit = (target(output) if callable(target) else class_logit(output, target)).sum()
    finally:
        handle.remove()
    if len(kept) != 1 or not isinstance(kept[0], torch.Tensor) or kept[0].ndim not in (3, 4):
        raise ValueError("the Grad-CAM layer must run once per forward and give [B, C, h, w]")
    (gradient,) = torch.autograd.grad(logit, kept[0], allow_unused=True)
    if gradient is None:
        raise ValueError("the logit does not depend on the Grad-CAM layer")
    activation, gradient = (_maps(model, x) for x in (kept[0].detach(), gradient))
    if kept[0].ndim == 3 and not gradient.any():
        raise ValueError(
            "no patch of the Grad-CAM layer reaches the logit: behind it only the class token "
            "counts. Take a layer before the last attention (blocks[-1].norm1)."
        )
    if len(activation) == len(images):
        activation, gradient = (_cut(x, grid) for x in (activation, gradient))
    # activation, gradient: (N, C, h, w); weights: (N, C, 1, 1)
    weights = gradient.mean(dim=(2, 3), keepdim=True)
    raw = _stitch((weights * activation).sum(dim=1), len(images), grid)
    return picture(raw, (images.shape[2], images.shape[3]))


def picture(signed: torch.Tensor, size: tuple[int, int]) -> CAM:
    """Maps [B, h, w] of evidence for and against, as maps of `size`: ReLU, scaled once, resized.

    Raises:
        ValueError: something in it is not finite.
    """
    raw = torch.relu(signed)
    if not raw.isfinite().all():
        raise ValueError("the Grad-CAM map is not finite: the weights or the picture are damaged")
    most, least = raw.amax(dim=(1, 2), keepdim=True), raw.amin(dim=(1, 2), keepdim=True)
    # what is the same everywhere but for rounding is not blown up: it stays zero
    uneven = most - least > FLAT * most
    scaled = torch.where(uneven, (raw - least) / (most - least), 0.0)
    maps = interpolate(scaled[:, None], size=size, mode="bilinear", align_corners=False)[:, 0]
    return CAM(maps.clamp(0, 1), most[:, 0, 0] > 0)


def _maps(model: Module, output: torch.Tensor) -> torch.Tensor:
    """A layer's output as [N, C, h, w]."""
    if output.ndim == 4:
        last = str(getattr(model, "output_fmt", "NCHW")).endswith("NHWC")
        return output.permute(0, 3, 1, 2) if last else output
    prefix = int(getattr(model, "num_prefix_tokens", 0))
    patches = output[:, prefix:]
    side = isqrt(patches.shape[1])
    if side < 1 or side * side != patches.shape[1]:
        raise ValueError(
            f"the Grad-CAM layer gives {output.shape[1]} tokens, of which {prefix} come first: "
            "the others are no square of patches"
        )
    # patches: (N, side * side, C) -> (N, C, side, side)
    return patches.transpose(1, 2).unflatten(2, (side, side))


def _cut(whole: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
    """[B, C, rows * h, columns * w] as maps of the blocks [B * rows * columns, C, h, w]."""
    rows, columns = grid
    if whole.shape[2] % rows or whole.shape[3] % columns:
        raise ValueError(f"maps of {[*whole.shape[2:]]} do not divide into a grid of {grid}")
    # whole: (B, C, rows, h, columns, w) -> (B, rows, columns, C, h, w)
    blocks = whole.unflatten(2, (rows, -1)).unflatten(4, (columns, -1)).permute(0, 2, 4, 1, 3, 5)
    return blocks.flatten(0, 2)


def _stitch(blocks: torch.Tensor, images: int, grid: tuple[int, int]) -> torch.Tensor:
    """Maps of blocks [B * rows * columns, h, w] as maps of images [B, rows * h, columns * w]."""
    rows, columns = grid
    if len(blocks) != images * rows * columns:
        raise ValueError(
            f"the Grad-CAM layer gives {len(blocks)} maps for {images} images in a grid of "
            f"{rows}x{columns}; state the grid the model cuts them into"
        )
    # blocks: (images, rows, columns, h, w) -> (images, rows, h, columns, w)
    whole = blocks.unflatten(0, (images, rows, columns)).transpose(2, 3)
    return whole.flatten(3, 4).flatten(1, 2)
