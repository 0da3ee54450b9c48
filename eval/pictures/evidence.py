"""One question to any of our networks: where does this picture speak for the model's own answer?

    found = evidence(model, images, answers)    # one answer a picture: 1 is positive, 0 is not
    found.cam.maps, found.tiles

What is explained is said by `method`, in words. Of one or two logits it is the answered class's. Of
three or more, all but the first of which are positive, it is the log odds log(sum exp z_k / exp
z_0), k > 0, or their negative where the answer is negative: a single class's logit would leave out
that the other is positive too. An ordinal network's cuts move no log odds from place to place: its
two logits, whose difference is put between the cuts, are explained by that difference.

This is the one place that knows kinds of networks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from eval.pictures.gradcam import CAM, Score, class_logit, gradcam, picture
from training.models import cam_layer
from training.models.cumulative_link import CumulativeLink
from training.models.grid_maps import grid_maps
from training.models.grid_transformer import GridTransformer


@dataclass(frozen=True)
class Evidence:
    """`cam`: maps of the images' size; `tiles`: float [B, n, n] in [0, 1], of a grid of tiles."""

    cam: CAM
    tiles: torch.Tensor | None = None


def evidence(model: nn.Module, images: torch.Tensor, answers: Sequence[int]) -> Evidence:
    """Explain the answer, 1 (positive) or 0, that the model gave to each image.

    Args:
        model: in eval mode, one of training's.
        images: float [B, 1, H, W], preprocessed.
        answers: [B].

    Raises:
        ValueError: as `gradcam`.
    """
    if isinstance(model, CumulativeLink):
        return _of(model.network, images, lambda z: log_odds(z, answers))
    return _of(model, images, lambda z: answer_score(z, answers))


def _of(network: nn.Module, images: torch.Tensor, score: Score) -> Evidence:
    if isinstance(network, GridTransformer):
        found = grid_maps(network, images, score)
        cam = picture(found.cells, (images.shape[2], images.shape[3]))
        most = found.tiles.amax(dim=(1, 2), keepdim=True)
        return Evidence(cam, torch.where(most > 0, found.tiles / most, 0.0))
    return Evidence(gradcam(network, cam_layer(network), images, score))


def answer_score(logits: torch.Tensor, answers: Sequence[int]) -> torch.Tensor:
    """What is explained of each image: [B] of logits [B], [B, 1], [B, 2] or [B, K].

    Raises:
        ValueError: another shape, or an answer that is not 0 or 1.
    """
    if logits.ndim == 2 and logits.shape[1] > 2:
        return log_odds(logits, answers)
    return class_logit(logits, answers)


def log_odds(logits: torch.Tensor, answers: Sequence[int]) -> torch.Tensor:
    """Of all classes but the first against the first, [B] of [B, K]; negated where the answer is 0.

    Raises:
        ValueError: an answer that is not 0 or 1, or not one for each.
    """
    return class_logit(logits[:, 1:].logsumexp(1) - logits[:, 0], answers)


def method(model: nn.Module) -> str:
    """What `evidence` explains of this model, and where, in words."""
    network = model.network if isinstance(model, CumulativeLink) else model
    if isinstance(network, GridTransformer):
        n = network.grid.grid
        where = (
            f"Grad-CAM of the tiles' last ResNet maps through the Transformer, each of the {n} x "
            f"{n} tiles with weights of its own, put together before ReLU and scaled once; beside "
            "it each tile's token, by the norm of gradient x token"
        )
    else:
        layer = next(name for name, m in network.named_modules() if m is cam_layer(network))
        where = f"Grad-CAM of layer {layer}"
    three = isinstance(model, CumulativeLink) or _classes(network) > 2
    what = "the log odds (positive classes against the rest)" if three else "the logit"
    return f"{where}; explained is {what} of the model's own answer"


def _classes(network: nn.Module) -> int:
    head = network.head[-1] if isinstance(network, GridTransformer) else None
    return int(head.out_features if head is not None else network.num_classes)  # type: ignore[arg-type]
