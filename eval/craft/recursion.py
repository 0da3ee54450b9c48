"""What an ambiguous concept is made of: its best crops, taken apart again one stage earlier.

Where one concept holds several things, as eyes and nostrils both dark and round, an earlier layer
may still tell them apart (the R of CRAFT). The crops whose amount of the parent is in the upper
tenth are factorised there, and each child's importance is its total Sobol index for the parent:

    Y(M) = u_parent of the last map that follows from (U * M) W - N of the earlier one,

of the crops that hold most of it, on average.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from eval.craft.concepts import activations, factorise
from eval.craft.crops import Crops, batches, one_each
from eval.craft.cut import Cut, positive, remainder
from eval.craft.nnls import coefficients
from eval.craft.shapes import Settings
from eval.craft.sobol import LEAST, design, total_indices

#: Quantile of the parent's amount above which crops are taken.
UPPER = 0.9


@dataclass(frozen=True)
class Children:
    """Of one parent: `indices` [r'], its children's total Sobol indices for it; `best`, the crops
    of each, as places among those that were given; `amounts` [n, r'] of each in all crops, 0 in
    those that were not taken apart.
    """

    indices: NDArray[np.float64]
    best: tuple[NDArray[np.int64], ...]
    amounts: NDArray[np.float64]


def children(
    last: Cut,
    earlier: Cut,
    images: torch.Tensor,
    face: torch.Tensor | None,
    crops: Crops,
    amounts: NDArray[np.float64],
    concepts: NDArray[np.float64],
    parent: int,
    settings: Settings,
) -> Children:
    """Take concept `parent` apart.

    Args:
        last: where the parent is.
        earlier: one stage before.
        images: [N, 3, H, W].
        face: embeddings [N, 512] or None.
        crops: n crops of the images.
        amounts: of the parent in each crop, [n].
        concepts: W [r, C] of the last map.
        parent: which of them.
        settings: how many children, best crops, and crops of which indices are taken.

    Raises:
        ValueError: nothing is positive at the earlier stage.
    """
    batch = settings.batch
    order = np.argsort(-amounts, kind="stable")
    upper = max(np.quantile(amounts, UPPER), np.finfo(float).tiny)
    taken = order[amounts[order] >= upper]
    some = crops.some(taken)
    bank = factorise(activations(earlier, images, face, some, batch).rows, settings.children)
    found = []
    for crop, owners in batches(images, crops.some(taken[: settings.judged]), 1):
        told = None if face is None else face[torch.from_numpy(owners).to(face.device)]
        found.append(_indices(last, earlier, crop, told, concepts, parent, bank.concepts,
                              settings))  # fmt: skip
    best = [taken[one_each(own, some.picture, settings.best)] for own in bank.amounts.T]
    held = np.zeros((len(crops), len(best)))
    held[taken] = bank.amounts
    indices = np.array(found)
    there = ~np.isnan(indices).any(axis=1)
    mean = indices[there].mean(axis=0) if there.any() else np.full(len(best), np.nan)
    return Children(mean, tuple(best), held)


@torch.no_grad()
def _indices(
    last: Cut,
    earlier: Cut,
    crop: torch.Tensor,
    face: torch.Tensor | None,
    concepts: NDArray[np.float64],
    parent: int,
    bank: NDArray[np.float64],
    settings: Settings,
) -> NDArray[np.float64]:
    """Total indices of the children for the parent's amount in one crop [1, 3, H, W]: [r']."""
    start = earlier.below(crop, face)
    rest = remainder(start)
    places = coefficients(positive(start)[0].permute(1, 2, 0).cpu().numpy(), bank)
    masks = design(LEAST, len(bank), settings.seed)
    flat = masks.reshape(-1, len(bank))
    answers = []
    batch = settings.batch
    for i in range(0, len(flat), batch):
        # u: (B, h, w, r')
        u = torch.from_numpy(places * flat[i : i + batch, None, None]).to(start)
        maps = (u @ torch.from_numpy(bank).to(start)).permute(0, 3, 1, 2) - rest
        told = None if face is None else face.expand(len(maps), -1)
        means = positive(earlier.onward(maps, told)).mean((2, 3)).cpu().numpy()
        answers.append(coefficients(means, concepts)[:, parent].astype(np.float32))
    return total_indices(np.concatenate(answers).reshape(masks.shape[:2]))
