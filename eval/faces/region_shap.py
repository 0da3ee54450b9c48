"""Exact Shapley values of the five facial regions and the background: a game of six players.

    found = region_shap(model, picture, regions, references)
    found.values[player, class]      adds up to found.full - found.base

A coalition S is the picture with every region outside of S taken from a reference picture, and its
worth v(S) is what the model says of it. Six players have 2^6 = 64 coalitions, so nothing is drawn
or approximated (Shapley 1953; Lundberg & Lee, NeurIPS 2017, eq. 8):

    phi_i = sum over S without i of |S|! (n - |S| - 1)! / n!  (v(S + i) - v(S)).

Against several references the values are the mean of those against each, since they are linear in
v; they then add up to f(x) minus the mean of f over the references. What a reference is, is said in
`eval.faces.references`. A region that is the same in both pictures gets exactly 0.

The regions are this project's own partition of the face, no published one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import comb

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp

REGIONS = ("forehead", "periorbital", "midface", "nasolabial", "jawline")
#: Player p is where the region map says (p + 1) % 6: 1 to 5 are regions, 0 is outside of the face.
PLAYERS = (*REGIONS, "background")
#: Coalitions that the model sees at once.
BATCH = 64

Model = Callable[[torch.Tensor], torch.Tensor]  # float32 [B, C, H, W] -> logits [B, K], or [B]
Score = Callable[[NDArray[np.float64]], NDArray[np.float64]]  # logits [B, K] -> scores [B, K]


@dataclass(frozen=True)
class RegionShap:
    """One picture.

    - values: float64 [players, K], in the score's unit (log odds, or the logit's).
    - full, base: float64 [K], the score of the picture, and its mean over the references.
    - residual: largest distance of the values' sum from full - base, both as the model says them of
      whole pictures that no mask was put on.
    """

    values: NDArray[np.float64]
    full: NDArray[np.float64]
    base: NDArray[np.float64]
    residual: float


def log_odds(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of each class against all others, log(p_k / (1 - p_k)): [B, K] of [B, K].

    Unlike a class's logit it is fixed by the probabilities: adding a number to all logits changes
    no answer, and no log odds.
    """
    others = [
        np.asarray(logsumexp(np.delete(logits, k, axis=1), axis=1)) for k in range(logits.shape[1])
    ]
    return logits - np.stack(others, axis=1)


def logit(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each class's own, as they are."""
    return logits


SCORES: dict[str, Score] = {"log odds": log_odds, "logit": logit}


def shapley(worth: ArrayLike) -> NDArray[np.float64]:
    """Shapley values [n, ...] of a game given by the worth [2**n, ...] of every coalition.

    Coalition number s holds player i where bit i of s is set.

    Raises:
        ValueError: the number of coalitions is no power of two.
    """
    v = np.asarray(worth, np.float64)
    n = len(v).bit_length() - 1
    if not len(v) or len(v) != 1 << n:
        raise ValueError(f"{len(v)} coalitions: n players have 2**n, the empty one first")
    s = np.arange(len(v))
    size = np.array([int(c).bit_count() for c in s])
    values = np.zeros((n, *v.shape[1:]))
    for i in range(n):
        without = s[(s >> i) & 1 == 0]
        weight = np.array([1 / (n * comb(n - 1, k)) for k in size[without]])
        values[i] = np.tensordot(weight, v[without | 1 << i] - v[without], axes=1)
    return values


def region_shap(
    model: Model,
    picture: torch.Tensor,
    regions: ArrayLike,
    references: torch.Tensor,
    score: Score = log_odds,
    batch: int = BATCH,
) -> RegionShap:
    """Explain what `model` says of one picture by its regions.

    Args:
        model: in eval mode, on the picture's device; one that takes a face's embedding too is given
            with it: ``lambda x: network(x, embedding.expand(len(x), -1))``. The embedding stays as
            it is, so that what is explained is the path through the picture.
        picture: float32 [C, H, W], preprocessed.
        regions: int [H, W], 0 background, 1 to 5 `REGIONS`; see `to_size`.
        references: float32 [M, C, H, W], preprocessed, M >= 1.
        score: what is explained, of the logits in float64.
        batch: coalitions at once.

    Raises:
        ValueError: shapes that do not fit, or a region map with other numbers.
    """
    owner = _owner(regions, picture)
    if references.ndim != 4 or not len(references) or references.shape[1:] != picture.shape:
        raise ValueError(
            f"references of {tuple(references.shape)} for a picture of {tuple(picture.shape)}: "
            "give [M, C, H, W], at least one"
        )
    whole = _said(model, torch.cat([picture[None], references]), score, batch)
    found = np.mean(
        [_against(model, picture, owner, other, score, batch) for other in references], axis=0
    )
    full, base = whole[0], whole[1:].mean(axis=0)
    residual = float(np.abs(found.sum(axis=0) - (full - base)).max())
    return RegionShap(found, full, base, residual)


def to_size(regions: ArrayLike, height: int, width: int) -> NDArray[np.uint8]:
    """A region map [H, W] at another size: each pixel is of the region at its centre."""
    of = np.asarray(regions, np.uint8)
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(np.int64)
        for new, old in zip((height, width), of.shape, strict=True)
    )
    return of[rows[:, None], columns]


def _owner(regions: ArrayLike, picture: torch.Tensor) -> torch.Tensor:
    """Which player each pixel belongs to, [H, W] on the picture's device."""
    of = np.asarray(regions)
    if picture.ndim != 3 or of.shape != tuple(picture.shape[1:]):
        raise ValueError(
            f"a region map of {of.shape} for a picture of {tuple(picture.shape)}: resize it with "
            "to_size"
        )
    if of.dtype.kind not in "iu" or of.min() < 0 or of.max() > len(REGIONS):
        raise ValueError(f"a region map holds whole numbers from 0 to {len(REGIONS)}")
    owner = (of.astype(np.int64) - 1) % len(PLAYERS)
    return torch.as_tensor(owner, device=picture.device)


def _against(
    model: Model,
    x: torch.Tensor,
    owner: torch.Tensor,
    other: torch.Tensor,
    score: Score,
    batch: int,
) -> NDArray[np.float64]:
    """Shapley values [players, K] against one reference."""
    differs = (x != other).any(dim=0)
    playing = [p for p in range(len(PLAYERS)) if bool(differs[owner == p].any())]
    # bit b of a coalition's number says whether player playing[b] is in it
    bit = torch.zeros(len(PLAYERS), dtype=torch.int64, device=x.device)
    bit[playing] = 1 << torch.arange(len(playing), device=x.device)
    own = bit[owner]  # [H, W]; 0 where both pictures agree, whoever is in
    worth = []
    for numbers in torch.arange(1 << len(playing), device=x.device).split(batch):
        kept = (numbers[:, None, None] & own != 0)[:, None]  # [B, 1, H, W]
        worth.append(_said(model, torch.where(kept, x, other), score, batch))
    some = shapley(np.concatenate(worth))
    values = np.zeros((len(PLAYERS), *some.shape[1:]))
    values[playing] = some
    return values


def _said(model: Model, pictures: torch.Tensor, score: Score, batch: int) -> NDArray[np.float64]:
    """Scores float64 [B, K]; a model of one logit has two classes, the first its negative."""
    # TF32 would leave three digits, and they change with the size of the batch
    exact = torch.backends.cudnn.flags(allow_tf32=False, deterministic=True, benchmark=False)
    with torch.inference_mode(), exact:
        z = torch.cat([model(part).double() for part in pictures.split(batch)]).cpu().numpy()
    if z.ndim == 1 or z.shape[1] == 1:
        z = z.reshape(-1, 1) * np.array([-0.5, 0.5])
    return score(z)
