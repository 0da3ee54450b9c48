"""AdamW, Adam or SGD with momentum; a cosine schedule after a linear warm-up, or one cycle.

Parameters that learn alike are a group: matrices, which decay, and vectors, which do not; with
``layer_decay`` such a pair for each layer.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from training.config import Stage
from training.depth import rate_scales

#: Of SGD (Li et al. 2026, section 1.3).
MOMENTUM = 0.9
#: Of one cycle: the share of the steps that go up, the first rate's part of the highest, and the
#: last rate (Face2Bone: 30%, to 1e-6; the first is torch's default).
UP, FIRST, LAST = 0.3, 1 / 25, 1e-6


def optimizer_for(model: nn.Module, stage: Stage) -> torch.optim.Optimizer:
    """``stage.optimizer``, in which biases, norms and other vectors do not decay.

    Raises:
        ValueError: ``stage.layer_decay`` is set, and the network is not told apart by layers.
    """
    scales = rate_scales(model, stage.layer_decay)
    named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    groups: list[dict[str, Any]] = []
    for scale in sorted({scales[n] for n, _ in named}):
        mine = [p for n, p in named if scales[n] == scale]
        decay, rest = [p for p in mine if p.ndim > 1], [p for p in mine if p.ndim <= 1]
        both = [{"params": decay}, {"params": rest, "weight_decay": 0.0}]
        groups += [group | {"scale": scale} for group in both if group["params"]]
    settings = {"lr": stage.lr, "weight_decay": stage.weight_decay, "fused": True}
    if stage.optimizer == "sgd":
        return torch.optim.SGD(groups, momentum=MOMENTUM, **settings)
    if stage.optimizer == "adam":
        return torch.optim.Adam(groups, **settings)
    return torch.optim.AdamW(groups, **settings)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """The rate of the next step, of each layer its part of it."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["scale"]


def learning_rate(stage: Stage, step: int, steps_per_epoch: int) -> float:
    """The rate of global step `step` (from 0): linear up, then half a cosine to 0; or one cycle."""
    total = stage.epochs * steps_per_epoch
    if stage.schedule == "onecycle":
        return _one_cycle(stage.lr, step, total)
    warm = min(stage.warmup_epochs * steps_per_epoch, total)
    if step < warm:
        return stage.lr * (step + 1) / (warm + 1)
    return stage.lr * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1.0, total - warm)))


def _one_cycle(highest: float, step: int, total: int) -> float:
    """Half a cosine up, half a cosine down (Smith & Topin 2017, as torch's OneCycleLR has it)."""
    top, last = UP * total - 1, total - 1
    if step <= top:
        start, end, part = highest * FIRST, highest, step / top if top > 0 else 1.0
    else:
        start, end, part = highest, LAST, (step - top) / (last - top) if last > top else 1.0
    return end + (start - end) / 2 * (1 + math.cos(math.pi * part))
