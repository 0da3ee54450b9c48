"""Losses, one value a sample; the loop divides by the global count of real samples."""

from __future__ import annotations

import math

import torch
from torch.nn import functional as F

from training.target import TARGETS

# Shapes: B samples of this rank, C classes.
#: Low bone mass against normal, as names of groups in what is tracked.
NAMES = TARGETS["low bone mass"].names


def cross_entropy(logits_BC: torch.Tensor, label_B: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of each sample, [B], in nats, in float32."""
    return F.cross_entropy(_full(logits_BC), label_B, reduction="none")


def distillation_kl(
    student_BC: torch.Tensor, teacher_BC: torch.Tensor, temperature: float
) -> torch.Tensor:
    """T^2 KL(softmax(teacher/T) || softmax(student/T)) of each sample, [B], summed over classes.

    Hinton, Vinyals, Dean 2015 (arXiv 1503.02531), section 2: T^2 keeps the gradient's size as T
    changes. A mean over classes would halve it for two classes.
    """
    log_student = F.log_softmax(_full(student_BC) / temperature, dim=1)
    log_teacher = F.log_softmax(_full(teacher_BC) / temperature, dim=1)
    kl_BC = F.kl_div(log_student, log_teacher, reduction="none", log_target=True)
    return kl_BC.sum(1) * temperature**2


def ramp_up(progress: float) -> float:
    """exp(-5 (1 - p)^2) for p in [0, 1], then 1: the weight of consistency while the average of a
    student's weights is no teacher yet (Tarvainen & Valpola 2017, arXiv 1703.01780, appendix B.1).
    """
    return math.exp(-5 * (1 - min(max(progress, 0.0), 1.0)) ** 2)


@torch.no_grad()
def by_class(
    values: dict[str, torch.Tensor],
    label_B: torch.Tensor,
    real_B: torch.Tensor,
    names: tuple[str, ...] = NAMES,
) -> dict[str, torch.Tensor]:
    """Sums of each class's real samples and their counts, named as `training.meter` takes them.

    `names` are those of the classes.
    """
    out = {}
    for c, name in enumerate(names):
        mine_B = real_B * (label_B == c)
        out[f"n/{name}"] = mine_B.sum()
        out |= {f"{what}/{name}": (value_B * mine_B).sum() for what, value_B in values.items()}
    return out


def _full(x: torch.Tensor) -> torch.Tensor:
    """At least float32, whatever autocast made of it."""
    return x if x.dtype == torch.float64 else x.float()
