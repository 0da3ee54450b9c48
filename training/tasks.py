"""What is learnt: from labels, or from labels and a frozen teacher.

The teacher lives in the task, outside DDP, the optimizer and the checkpoint.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from training.losses import cross_entropy, distillation_kl
from training.stream import Batch


@dataclass
class Supervised:
    """Cross-entropy with the labels of the batch."""

    def loss(self, model: nn.Module, batch: Batch) -> dict[str, torch.Tensor]:
        """Sums over this rank's real samples: `loss` is differentiated, the rest is logged."""
        return {"loss": (cross_entropy(model(batch.image), batch.label) * batch.real).sum()}


@dataclass
class Distil:
    """(1 - a) CE(label, student) + a T^2 KL(teacher || student) (Hinton et al. 2015; OsPenScreen).

    The teacher sees the weak view, the student the strong one.
    """

    teacher: nn.Module
    temperature: float
    alpha: float

    def loss(self, model: nn.Module, batch: Batch) -> dict[str, torch.Tensor]:
        """Sums over this rank's real samples: `loss`, `ce` and `kl`."""
        assert batch.weak is not None, "a stream for distillation carries the teacher's view"
        student_BC = model(batch.image)
        with torch.no_grad():
            teacher_BC = self.teacher(batch.weak)
        ce = (cross_entropy(student_BC, batch.label) * batch.real).sum()
        kl = (distillation_kl(student_BC, teacher_BC, self.temperature) * batch.real).sum()
        loss = (1 - self.alpha) * ce + self.alpha * kl
        return {"loss": loss, "ce": ce.detach(), "kl": kl.detach()}
