"""Losses, one value a sample; the loop divides by the global count of real samples."""

from __future__ import annotations

import torch
from torch.nn import functional as F

# Shapes: B samples of this rank, C classes.


def cross_entropy(logits_BC: torch.Tensor, label_B: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of each sample, [B], in nats."""
    return F.cross_entropy(logits_BC, label_B, reduction="none")


def distillation_kl(
    student_BC: torch.Tensor, teacher_BC: torch.Tensor, temperature: float
) -> torch.Tensor:
    """T^2 KL(softmax(teacher/T) || softmax(student/T)) of each sample, [B], summed over classes.

    Hinton, Vinyals, Dean 2015 (arXiv 1503.02531), section 2: T^2 keeps the gradient's size as T
    changes. A mean over classes would halve it for two classes.
    """
    log_student = F.log_softmax(student_BC / temperature, dim=1)
    log_teacher = F.log_softmax(teacher_BC / temperature, dim=1)
    kl_BC = F.kl_div(log_student, log_teacher, reduction="none", log_target=True)
    return kl_BC.sum(1) * temperature**2
