"""How much each concept matters: total Sobol indices of the head, with concepts turned down.

    Y(M) = score of h((U * M) W - N),    M in [0, 1]^r, the same at every place,

where U holds a picture's concepts place by place and N is what of its map was negative, held as it
is. The score is the log odds of the class against all others, z_c - logsumexp of the others: a
logit alone also moves with what moves all of them and changes no answer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from eval.craft.cut import Cut, positive, remainder
from eval.craft.nnls import coefficients
from eval.craft.sobol import LEAST, design, total_indices

#: Relative difference of logits that is rounding.
SAME = 1e-4


@dataclass(frozen=True)
class Amounts:
    """Of N pictures: `places` U float64 [N, h, w, r]; `rest` N float32 [N, C, h, w] on the device.

    `removed`: share of the squared maps that was negative; `explained`: of the positive squares,
    what UW leaves no error of; `kept` bool [N]: whether the answer stays when the map is put
    together from concepts again. Crops are enlarged, and what a network makes of them need not be
    what it makes of whole pictures: then neither is high.
    """

    places: NDArray[np.float64]
    rest: torch.Tensor
    removed: float
    explained: float
    kept: NDArray[np.bool_]


@torch.no_grad()
def amounts(
    cut: Cut,
    images: torch.Tensor,
    face: torch.Tensor | None,
    concepts: NDArray[np.float64],
    batch: int,
) -> Amounts:
    """How much of each concept every place of whole pictures holds.

    Args:
        cut: where the concepts are.
        images: [N, 3, H, W].
        face: embeddings [N, 512] or None.
        concepts: W [r, C].
        batch: pictures at once.
    """
    places, rest, kept, lost, whole, missed = [], [], [], 0.0, 0.0, 0.0
    for i in range(0, len(images), batch):
        told = None if face is None else face[i : i + batch]
        maps = cut.below(images[i : i + batch], told)
        held = positive(maps).permute(0, 2, 3, 1).cpu().numpy()
        places.append(coefficients(held, concepts))
        rest.append(remainder(maps))
        missed += float(((held - places[-1] @ concepts) ** 2).sum())
        again = _maps(places[-1], concepts, maps) - rest[-1]
        kept.append((cut.above(again, told).argmax(1) == cut.above(maps, told).argmax(1)).cpu())
        lost += float(rest[-1].double().square().sum())
        whole += float(maps.double().square().sum())
    return Amounts(
        np.concatenate(places),
        torch.cat(rest),
        lost / whole if whole else 0.0,
        1 - missed / (whole - lost) if whole > lost else 0.0,
        torch.cat(kept).numpy(),
    )


@torch.no_grad()
def importance(
    cut: Cut,
    held: Amounts,
    face: torch.Tensor | None,
    concepts: NDArray[np.float64],
    target: int,
    points: int,
    seed: int,
    batch: int,
) -> NDArray[np.float64]:
    """Total Sobol indices of the concepts in each picture, float64 [N, r]; NaN rows do not vary.

    A head that begins with the mean over places is given the means, which is the same and needs a
    fraction of the work; another one is asked at the fewest points that are allowed.

    Args:
        cut: where the concepts are.
        held: of the pictures.
        face: their embeddings [N, 512] or None.
        concepts: W [r, C].
        target: the class.
        points: of the designs, see `sobol.design`.
        seed: of the designs.
        batch: maps at once.
    """
    places, rest = held.places, held.rest
    if _reads_means(cut, held, face, concepts):
        places, rest = places.mean(axis=(1, 2), keepdims=True), rest.mean((2, 3), keepdim=True)
        batch *= held.places.shape[1] * held.places.shape[2]
    else:
        points = LEAST
    masks = design(points, len(concepts), seed)
    # flat: (r + 2, points, r) -> ((r + 2) * points, r)
    flat = masks.reshape(-1, len(concepts))
    found = []
    for n in range(len(places)):
        answers = []
        for i in range(0, len(flat), batch):
            some = flat[i : i + batch, None, None]
            maps = _maps(places[n] * some, concepts, rest) - rest[n]
            told = None if face is None else face[n].expand(len(maps), -1)
            answers.append(log_odds(cut.above(maps, told), target).cpu().numpy())
        found.append(total_indices(np.concatenate(answers).reshape(masks.shape[:2])))
    return np.array(found)


def log_odds(logits: torch.Tensor, target: int) -> torch.Tensor:
    """Of one class against all others, [B] of logits [B, K].

    Raises:
        ValueError: fewer than two logits, or no such class.
    """
    if logits.ndim != 2 or not 0 <= target < logits.shape[1] or logits.shape[1] < 2:
        raise ValueError(f"class {target} of logits {[*logits.shape]}: give a logit for each class")
    others = [k for k in range(logits.shape[1]) if k != target]
    return logits[:, target] - logits[:, others].logsumexp(1)


def _maps(
    u: NDArray[np.float64], concepts: NDArray[np.float64], like: torch.Tensor
) -> torch.Tensor:
    """U W as maps [B, C, h, w] of the dtype and device of `like`."""
    made = torch.from_numpy(u).to(like) @ torch.from_numpy(concepts).to(like)
    # made: (B, h, w, C) -> (B, C, h, w)
    return made.permute(0, 3, 1, 2)


def _reads_means(
    cut: Cut, held: Amounts, face: torch.Tensor | None, concepts: NDArray[np.float64]
) -> bool:
    """Whether logits of maps and of their means are the same, asked of the first pictures."""
    some = slice(0, 4)
    maps = _maps(held.places[some], concepts, held.rest) - held.rest[some]
    told = None if face is None else face[some]
    whole = cut.above(maps, told)
    try:
        means = cut.above(maps.mean((2, 3), keepdim=True), told)
    except (RuntimeError, ValueError):  # the head wants maps of one size
        return False
    return bool(torch.allclose(whole, means, rtol=SAME, atol=SAME * float(whole.abs().max())))
