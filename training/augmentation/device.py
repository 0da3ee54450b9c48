"""The same pictures made in batch where the model is, from parameters drawn on a CPU.

    drawn = [parameters_of("strong", (512, 512), seed, epoch, key) for key in keys]
    images = augment_batch(images.to("cuda"), drawn)

Loader workers then only read and draw (70 us a picture), and one copy of uint8 pictures crosses to
the device. A transform runs on those pictures of the batch alone that drew it. Everything but the
warp is done in whole numbers and agrees with the CPU's pixels to the bit; the warp's coordinates
are rounded otherwise (by up to 6e-5 pixels at 512), which moves a few grey levels by one. Nothing
here sums floats in an order of the device's choosing: the same batch gives the same bits again.

Pictures of 16 bits are worked on as int32, for want of arithmetic on uint16.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch.nn import functional as F

from training.augmentation.equalisation import equalise
from training.augmentation.parameters import Parameters, check_depth


@torch.no_grad()
def augment_batch(images: torch.Tensor, parameters: Sequence[Parameters]) -> torch.Tensor:
    """uint8 [B, H, W] or [B, H, W, 3], or uint16 [B, H, W], on any device, one Parameters each.

    Returns:
        The same, a new tensor.

    Raises:
        ValueError: not as many parameters as pictures, other pictures, or CLAHE for 16 bits.
    """
    kinds = ((torch.uint8, 3), (torch.uint8, 4), (torch.uint16, 3))
    if (images.dtype, images.ndim) not in kinds or len(images) != len(parameters):
        raise ValueError(
            f"{images.dtype} {list(images.shape)} and {len(parameters)} parameters: pictures are "
            "uint8 [B, H, W] or [B, H, W, 3], or uint16 [B, H, W], each with its own parameters"
        )
    given, grey = images.dtype, images.ndim == 3
    if given == torch.uint16:
        images = images.to(torch.int32)
        for drawn in parameters:
            check_depth(drawn, deep=True)
    # x: (b, c, h, w)
    x = (images.unsqueeze(1) if grey else images.permute(0, 3, 1, 2)).contiguous().clone()

    def change(
        has: Callable[[Parameters], object],
        how: Callable[[torch.Tensor, list[Parameters]], torch.Tensor],
    ) -> None:
        """Apply `how` to those pictures that drew it."""
        those = [i for i, p in enumerate(parameters) if has(p)]
        if those:
            at = torch.tensor(those, device=x.device)
            x[at] = how(x[at], [parameters[i] for i in those])

    with torch.autocast(x.device.type, enabled=False):  # half precision has not 256 grey levels
        change(lambda p: p.mirror, lambda x, _: x.flip(3))
        change(lambda p: p.upset, lambda x, _: x.flip(2))
        change(lambda p: p.nodes is not None, warp)
        change(lambda p: p.smoothing and p.smoothing.kind != "median", mean_blur)
        for size in (3, 5):
            change(
                lambda p, size=size: (
                    p.smoothing and (p.smoothing.kind, p.smoothing.size) == ("median", size)
                ),
                lambda x, _, size=size: median(x, size),
            )
        change(lambda p: p.clahe is not None, lambda x, p: equalise(x, [q.clahe or 0 for q in p]))
        change(lambda p: p.tone, look_up)
        change(lambda p: p.holes, drop)
    return x.squeeze(1).to(given) if grey else x.permute(0, 2, 3, 1).contiguous()


def _stack(arrays: list[np.ndarray], like: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(np.stack(arrays)).to(like.device)


def warp(x: torch.Tensor, parameters: list[Parameters]) -> torch.Tensor:
    """uint8 or int32 [b, c, h, w], bilinear at the enlarged nodes, black outside."""
    nodes = _stack([p.nodes.astype(np.float32) for p in parameters if p.nodes is not None], x)
    grid = F.interpolate(nodes, size=x.shape[2:], mode="bilinear", align_corners=True)
    grid = grid.permute(0, 2, 3, 1)
    out = F.grid_sample(x.float(), grid, "bilinear", "zeros", align_corners=True)
    return out.round_().to(x.dtype)


def mean_blur(x: torch.Tensor, parameters: list[Parameters]) -> torch.Tensor:
    """The mean of each kernel's pixels: sums of whole numbers, then one division."""
    kernels = np.zeros((len(parameters), 5, 5), np.float32)
    for kernel, p in zip(kernels, parameters, strict=True):
        assert p.smoothing
        assert p.smoothing.size in (3, 5)
        edge = (5 - p.smoothing.size) // 2
        kernel[edge : 5 - edge, edge : 5 - edge] = p.smoothing.kernel()
    weight = torch.from_numpy(kernels).to(x.device)
    height, width = x.shape[2:]
    padded = F.pad(x.float(), (2, 2, 2, 2), mode="reflect")
    total = torch.zeros_like(x, dtype=torch.float32)
    for dy, dx in zip(*np.nonzero(kernels.any(0)), strict=True):
        here = padded[:, :, dy : dy + height, dx : dx + width]
        total += here * weight[:, None, dy : dy + 1, dx : dx + 1]
    return total.div_(weight.sum((1, 2))[:, None, None, None]).round_().to(x.dtype)


def median(x: torch.Tensor, size: int) -> torch.Tensor:
    """The largest t that has at most half of its neighbours below it, found bit by bit.

    A pass of comparisons for each bit of a level, whatever the size; no sort, whose ties a device
    may order at will.
    """
    edge = size // 2
    # Replicated borders are not for whole numbers in every torch: float, and back.
    padded = F.pad(x.float(), (edge,) * 4, mode="replicate").to(x.dtype)
    around = padded.unfold(2, size, 1).unfold(3, size, 1)  # (b, c, h, w, size, size), a view
    found = torch.zeros_like(x)
    bits = 8 if x.dtype == torch.uint8 else 16
    for bit in (1 << n for n in reversed(range(bits))):
        more = found | bit
        below = (around < more[..., None, None]).sum((4, 5), dtype=torch.uint8)
        found = torch.where(below <= size * size // 2, more, found)
    return found


def look_up(x: torch.Tensor, parameters: list[Parameters]) -> torch.Tensor:
    """Each picture's own table."""
    dtype = np.uint8 if x.dtype == torch.uint8 else np.uint16
    tables = _stack([p.tone.table(dtype) for p in parameters if p.tone], x).to(x.dtype)
    return tables.gather(1, x.flatten(1).long()).view_as(x)


def drop(x: torch.Tensor, parameters: list[Parameters]) -> torch.Tensor:
    """Black where a row with holes crosses a column with holes."""
    both = [p.holes.along(*x.shape[2:]) for p in parameters if p.holes]
    rows, columns = (_stack([lines[axis] for lines in both], x) for axis in (0, 1))
    return x.masked_fill(rows[:, None, :, None] & columns[:, None, None, :], 0)
