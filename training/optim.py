"""AdamW or SGD with momentum, and a cosine schedule after a linear warm-up."""

from __future__ import annotations

import math

import torch
from torch import nn

from training.config import Stage

#: Of SGD (Li et al. 2026, section 1.3).
MOMENTUM = 0.9


def optimizer_for(model: nn.Module, stage: Stage) -> torch.optim.Optimizer:
    """``stage.optimizer``, in which biases, norms and other vectors do not decay."""
    named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    decay = [p for _, p in named if p.ndim > 1]
    rest = [p for _, p in named if p.ndim <= 1]
    groups = [{"params": decay}, {"params": rest, "weight_decay": 0.0}]
    settings = {"lr": stage.lr, "weight_decay": stage.weight_decay, "fused": True}
    if stage.optimizer == "sgd":
        return torch.optim.SGD(groups, momentum=MOMENTUM, **settings)
    return torch.optim.AdamW(groups, **settings)


def learning_rate(stage: Stage, step: int, steps_per_epoch: int) -> float:
    """The rate of global step `step` (from 0): linear up, then half a cosine to 0."""
    total = stage.epochs * steps_per_epoch
    warm = min(stage.warmup_epochs * steps_per_epoch, total)
    if step < warm:
        return stage.lr * (step + 1) / (warm + 1)
    return stage.lr * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1.0, total - warm)))
