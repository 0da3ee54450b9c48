"""The task of a survival model: Cox's partial likelihood over the whole global batch.

Each fracture is compared with everybody still at risk, wherever in the batch, so the ranks lay
their log risks together first. What other ranks said is a constant to this one: the gradient of
the whole is the sum over ranks of what each gets by its own samples, which is the sum that DDP and
ZeRO make. So neither the loss nor its gradient depends on how many ranks there are.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from training.batch import Batch
from training.followup import days_of, event_of
from training.survival import Ties, cox_loss
from training.world import World


@dataclass
class Cox:
    """Mean negative log partial likelihood of the batch's fractures (DeepSurv, Katzman 2018).

    The log risk is z1 - z0 of the network's two logits: one output, as all else here reads it.
    Cox's likelihood knows nothing of a constant: head.fc.bias and head.norm.bias, which add one to
    all log risks, move by what rounding leaves of their gradients, and the baseline hazard makes up
    for it. So these two tensors differ between world sizes where all others agree up to rounding.
    """

    world: World
    ties: Ties = "efron"

    def loss(self, model: nn.Module, batch: Batch) -> dict[str, torch.Tensor]:
        """`loss`, and of the fractures `cox` and how many they are.

        Every rank has the same loss of the whole batch: as sums go over ranks, each gives its
        share of the value and the whole gradient. All ranks must call it. A batch without a
        fracture gives 0 and teaches nothing.
        """
        z_BC = model(batch.image).float()  # before the difference: bfloat16 would round it
        risk_b = z_BC[:, 1] - z_BC[:, 0]
        size, mine = self.world.size, self.world.rank
        # all ranks' at once: float64 holds float32 and these whole numbers exactly
        said = torch.stack([risk_b.detach().double(), batch.label.double(), batch.real.double()])
        risk_Rb, label_Rb, real_Rb = self.world.gather(said).unbind(1)
        parts = list(risk_Rb.float().unbind())
        parts[mine] = risk_b
        # *_N: (rank, sample of the rank), flattened
        risk_N, label_N, real_N = torch.cat(parts), label_Rb.flatten().long(), real_Rb.flatten() > 0
        days_N, event_N = days_of(label_N[real_N]), event_of(label_N[real_N])
        whole = cox_loss(risk_N[real_N], days_N, event_N, self.ties)
        value = whole.detach() / size
        loss = (whole - whole.detach() + value) * batch.global_real
        fractures = event_N.sum()
        return {
            "loss": loss,
            "cox/fracture": value * fractures,
            "n/fracture": fractures / size,
        }
