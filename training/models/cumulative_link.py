"""Three classes in their order: two cuts on one scale (McCullagh 1980, proportional odds).

    P(class > k) = sigmoid(f - c_k),    c_0 < c_1

A network gives two logits, whose difference is f, as everywhere here; the cuts are learnt. What
comes out is the logarithm of each class's probability, so that softmax gives the probabilities back
and cross-entropy is the likelihood of the ordinal model.

Shapes: B pictures, C = 3 classes.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn.functional import logsigmoid, softplus

from training.models.grid_transformer import GridOutput

#: Where the cuts are at the start: of classes about as frequent, were f standard logistic.
START = (-0.7, 0.7)


class CumulativeLink(nn.Module):
    """[B, 1, H, W] -> [B, 3]: log probabilities; `network` gives [B, 2].

    What the local heads of a grid say is translated alike.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        low, high = START
        # A vector each, which does not decay; the second is softplus^-1 of the distance.
        self.low = nn.Parameter(torch.tensor([low]))
        self.gap = nn.Parameter(torch.tensor([high - low]).expm1().log())

    @property
    def feature_info(self) -> Any:
        """The network's, whose modules lie one deeper."""
        return [
            info | {"module": f"network.{info['module']}"}
            for info in self.network.feature_info  # type: ignore[union-attr]
        ]

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """The network's."""
        self.network.set_grad_checkpointing(enable)  # type: ignore[operator]

    def forward(self, *inputs: torch.Tensor, **asked: Any) -> Any:
        """See the class; what goes in is the network's own."""
        z = self.network(*inputs, **asked)
        if isinstance(z, GridOutput):
            return GridOutput(self._of(z.logits), self._of(z.local))
        return self._of(z)

    def _of(self, z: torch.Tensor) -> torch.Tensor:
        """[..., 2] -> [..., 3]."""
        f = z[..., 1].float() - z[..., 0].float()
        return log_probabilities(f, self.low, self.low + softplus(self.gap))


def log_probabilities(f: torch.Tensor, low: torch.Tensor, high: torch.Tensor) -> torch.Tensor:
    """[..., 3] of f [...] and the two cuts, exact where a probability is tiny.

    The middle one is sigmoid(f - low) - sigmoid(f - high)
    = sigmoid(f - low) sigmoid(high - f) (1 - exp(low - high)).
    """
    first, last = logsigmoid(low - f), logsigmoid(f - high)
    middle = logsigmoid(f - low) + logsigmoid(high - f) + torch.log(-torch.expm1(low - high))
    return torch.stack([first, middle, last], dim=-1)
