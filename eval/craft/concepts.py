"""Concepts: what activations of many crops are sums of (CRAFT, Fel et al., CVPR 2023).

    A [n, p] = mean over places of ReLU(g(crop)),    min ||A - U W||^2 over U, W >= 0

by scikit-learn's NMF. A row of W is a concept, a mixture of channels that come together; rows have
length one here, so that U [n, r] counts how much of each a crop holds.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.decomposition import NMF
from sklearn.exceptions import ConvergenceWarning

from eval.craft.crops import Crops, batches
from eval.craft.cut import Cut, positive, remainder

#: Sweeps of coordinate descent, and the change at which it stops.
SWEEPS, TOLERANCE = 500, 1e-4


@dataclass(frozen=True)
class Bank:
    """`concepts` W float64 [r, p] of length one, `amounts` U float64 [n, r] of the crops.

    `explained` is 1 - ||A - UW||^2 / ||A||^2; `converged` whether the factors had settled.
    """

    concepts: NDArray[np.float64]
    amounts: NDArray[np.float64]
    explained: float
    converged: bool


@dataclass(frozen=True)
class Activations:
    """`rows` A float64 [n, p] >= 0; `removed`: share of the squared maps that was negative."""

    rows: NDArray[np.float64]
    removed: float


@torch.no_grad()
def activations(
    cut: Cut, images: torch.Tensor, face: torch.Tensor | None, crops: Crops, batch: int
) -> Activations:
    """The mean positive activation of every crop.

    Args:
        cut: where.
        images: [N, 3, H, W], preprocessed.
        face: embeddings [N, 512] of the pictures, which crops keep.
        crops: of the images.
        batch: crops at once.
    """
    rows, lost, whole = [], 0.0, 0.0
    for some, owners in batches(images, crops, batch):
        told = None if face is None else face[torch.from_numpy(owners).to(face.device)]
        maps = cut.below(some, told)
        rows.append(positive(maps).mean((2, 3)).double().cpu().numpy())
        lost += float(remainder(maps).double().square().sum())
        whole += float(maps.double().square().sum())
    return Activations(np.concatenate(rows), lost / whole if whole else 0.0)


def factorise(rows: NDArray[np.float64], rank: int, seed: int | None = None) -> Bank:
    """The concepts of activations [n, p].

    Args:
        rows: A >= 0, finite.
        rank: how many concepts; no more are given than there are crops, channels, or non-zero ones.
        seed: of a random start. Without it the start is that of singular vectors (nndsvda), which
            draws nothing that matters.

    Raises:
        ValueError: nothing is positive, or something is not finite.
    """
    if not np.isfinite(rows).all():
        raise ValueError("an activation is not finite: the weights or the picture are damaged")
    if not (rows > 0).any():
        raise ValueError("no activation is positive: there is nothing to take apart")
    rank = min(rank, *rows.shape)
    init: Literal["random", "nndsvda"] = "nndsvda" if seed is None else "random"
    components: Any = rank  # whose stub knows "auto" only
    nmf = NMF(components, init=init, random_state=seed or 0, max_iter=SWEEPS, tol=TOLERANCE)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", ConvergenceWarning)
        # Where it stops depends on the numbers' size, which means nothing: a power of two, exact.
        size = 2.0 ** np.ceil(np.log2(rows.max()))
        amounts = nmf.fit_transform(rows / size) * size
    length = np.linalg.norm(nmf.components_, axis=1)
    alive = (length > 0) & (amounts > 0).any(axis=0)
    concepts = nmf.components_[alive] / length[alive, None]
    amounts = amounts[:, alive] * length[alive]
    lost = float(((rows - amounts @ concepts) ** 2).sum() / (rows**2).sum())
    settled = not any(issubclass(w.category, ConvergenceWarning) for w in said)
    return Bank(concepts, amounts, 1 - lost, settled)


def purity(
    amounts: NDArray[np.float64], concept: int, best: NDArray[np.int64]
) -> tuple[float, bool]:
    """Of a concept's best crops: its mean share of all concepts' amounts, and whether another
    concept has a larger one.

    Args:
        amounts: U [n, r].
        concept: which.
        best: its best crops.
    """
    held = amounts[best]
    shares = (held / held.sum(axis=1, keepdims=True)).mean(axis=0)
    return float(shares[concept]), bool(shares.argmax() != concept)
