"""Each picture by itself: clipped to two of its percentiles, mean 0, standard deviation 1.

    z = standardised(images)     # uint8 or uint16 [B, s, s], on any device

Li et al. 2026 z-score pictures so that device and body size matter less, and say no more of it. The
percentiles, the mean and the deviation (of the clipped picture, over n) are of what the model is
fed: resized and augmented. They come from a histogram with a bin for each level, which is exact for
whole numbers and a quarter of what numpy takes (7 ms against 29 for 1536 x 1536 pixels on a core).
Counts are integers and what is summed of them is summed in float64, so that a picture comes out
alike alone, in a batch and again. Percentiles are Hyndman and Fan's type 7, `numpy.percentile`'s.
"""

from __future__ import annotations

import torch

#: Shares of the pixels below black and below white.
DARKEST, BRIGHTEST = 0.005, 0.995


@torch.no_grad()
def standardised(images: torch.Tensor) -> torch.Tensor:
    """uint8 or uint16 [B, H, W] -> float32 [B, 1, H, W], on the same device.

    A picture that is flat between its percentiles gives zeros.
    """
    assert images.dtype in (torch.uint8, torch.uint16)
    assert images.ndim == 3
    levels = 1 << (8 * images.element_size())
    b, n = len(images), images[0].numel()
    # first_B: where each picture's bins begin in one row of bins
    first_B = levels * torch.arange(b, dtype=torch.int32, device=images.device)
    bins_BN = images.flatten(1).to(torch.int32).add_(first_B[:, None])
    count_BV = torch.bincount(bins_BN.flatten(), minlength=b * levels).view(b, levels)
    below_BV = count_BV.cumsum(1)
    low_B1, high_B1 = (_percentile(below_BV, n, q) for q in (DARKEST, BRIGHTEST))
    level_V = torch.arange(levels, dtype=torch.float64, device=images.device)
    clipped_BV = torch.clamp(level_V, low_B1, high_B1)
    mean_B1 = (count_BV * clipped_BV).sum(1, keepdim=True) / n
    variance_B1 = (count_BV * (clipped_BV - mean_B1).square()).sum(1, keepdim=True) / n
    flat_B1 = low_B1 == high_B1
    over_B1 = torch.where(flat_B1, 0.0, variance_B1.rsqrt())
    low, high, mean, over = (v.float()[:, :, None] for v in (low_B1, high_B1, mean_B1, over_B1))
    x = images.to(torch.float32)
    return x.clamp_(low, high).sub_(mean).mul_(over).unsqueeze(1)


def _percentile(below_BV: torch.Tensor, n: int, share: float) -> torch.Tensor:
    """float64 [B, 1]: between the two levels in order that lie around (n - 1) share."""
    place = (n - 1) * share
    ranks = [int(place), min(int(place) + 1, n - 1)]
    wanted = torch.tensor([ranks] * len(below_BV), device=below_BV.device)
    # the first level with more than `rank` pixels at it or below
    a_B1, b_B1 = torch.searchsorted(below_BV, wanted, right=True).double().split(1, 1)
    return a_B1 + (place - ranks[0]) * (b_B1 - a_B1)
