"""The gradient of a concept: through the non-negative least squares, by its active set.

u(a) = argmin over u >= 0 of ||a - u W||^2 has no formula to differentiate, but its conditions of
optimality have: where the set S of positive concepts does not change, u_S = (W_S W_S^T)^-1 W_S a
and the others stay zero, so

    du_S / da = (W_S W_S^T)^-1 W_S,    0 elsewhere.

    u = solve(means, bank)                                   # [B, r] of [B, p], with its gradient
    concept_maps(cut(model), cut(model, 1), bank, images)    # [B, r, H, W], where each concept is

Where a concept is about to enter S the answer has a kink and no derivative; there it is that of the
side on which the concept is zero.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from eval.craft.cut import Cut, positive
from eval.craft.nnls import coefficients
from eval.pictures.gradcam import picture


def jacobian(u: NDArray[np.float64], bank: NDArray[np.float64]) -> NDArray[np.float64]:
    """du / da at one solution, float64 [r, p].

    Args:
        u: the solution [r].
        bank: W [r, p].
    """
    made, held = np.zeros(bank.shape), u > 0
    if held.any():
        w = bank[held]
        made[held] = np.linalg.solve(w @ w.T, w)
    return made


class _Coefficients(torch.autograd.Function):
    """a [B, p] -> u [B, r], with the gradient above."""

    @staticmethod
    def forward(ctx: Any, rows: torch.Tensor, bank: torch.Tensor) -> torch.Tensor:
        u = coefficients(rows.detach().cpu().numpy(), bank.cpu().numpy())
        kept = torch.from_numpy(u).to(rows.device)
        ctx.save_for_backward(kept, bank)
        ctx.dtype = rows.dtype
        return kept.to(rows.dtype)

    @staticmethod
    def backward(ctx: Any, *above: torch.Tensor) -> tuple[torch.Tensor, None]:
        u, bank = ctx.saved_tensors
        gradients = []
        for row, given in zip(u, above[0].double(), strict=True):
            held = row > 0
            w = bank[held]
            gradients.append(torch.linalg.solve(w @ w.T, given[held]) @ w)
        return torch.stack(gradients).to(ctx.dtype), None


def solve(rows: torch.Tensor, bank: torch.Tensor) -> torch.Tensor:
    """u [B, r] of rows [B, p], which may ask for their gradient; `bank` is float64 [r, p]."""
    found = _Coefficients.apply(rows, bank)
    assert isinstance(found, torch.Tensor)
    return found


def concept_maps(
    last: Cut,
    earlier: Cut,
    bank: NDArray[np.float64],
    images: torch.Tensor,
    face: torch.Tensor | None = None,
) -> torch.Tensor:
    """Where each concept is, float [B, r, H, W] in [0, 1]: Grad-CAM with u_i in a logit's place.

    u is of the last map's mean over places; the map that is weighted is the earlier one, which sees
    finer. A concept that a picture does not hold has no gradient, and its map is zero.

    Args:
        last: before the head, where the concepts are.
        earlier: where the maps are, or `last` once more.
        bank: W, float64 [r, C] of the last map's channels.
        images: [B, 3, H, W], preprocessed.
        face: embeddings [B, 512], held fixed.
    """
    with torch.no_grad():
        start = earlier.below(images, face)
    with torch.enable_grad():
        at = start.requires_grad_()
        means = positive(earlier.onward(at, face)).mean((2, 3))
        u = solve(means, torch.from_numpy(bank).to(means.device))
        made = []
        for i in range(len(bank)):
            (gradient,) = torch.autograd.grad(u[:, i].sum(), at, retain_graph=True)
            signed = (gradient.mean((2, 3), keepdim=True) * at.detach()).sum(1)
            made.append(picture(signed.detach(), (images.shape[2], images.shape[3])).maps)
    return torch.stack(made, dim=1)
