"""Kolmogorov-Arnold layers: a learnable one-dimensional function on every edge.

Face2Bone (Liang et al.), Methods, "Kolmogorov-Arnold networks", eqs. 13-18; KAN: Liu et al. 2024
(arXiv 2404.19756). The paper leaves open the grid, the order, the start and what feeds the layer;
decided here: G = 5 intervals of order 3 on [-1, 1], uniform knots that go on by `order` intervals
on either side, nothing between layers (eq. 13 writes a sigma there, the reference has none), and
separate weights of the two parts (eq. 15 has one w for both, the reference two).
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F

# Shapes: ... anything, I inputs, O outputs, G + k bases.


def bsplines(
    x: torch.Tensor, intervals: int, order: int, low: float = -1.0, high: float = 1.0
) -> torch.Tensor:
    """All B-splines of `order` on uniform knots at x, [...] -> [..., intervals + order].

    Cox-de Boor with half-open intervals. On [low, high) they sum to 1; `order` intervals beyond
    either end they are all 0. Measured in intervals the knots are whole numbers, so no knot
    differences are divided by: B_i,d = ((t - i) B_i,d-1 + (i + d + 1 - t) B_i+1,d-1) / d.
    """
    t = (x - low) * (intervals / (high - low)) + order
    knots = torch.arange(intervals + 2 * order, dtype=x.dtype, device=x.device)
    past = t.unsqueeze(-1) - knots  # intervals since each knot
    bases = ((past >= 0) & (past < 1)).to(x.dtype)
    for d in range(1, order + 1):
        past = past[..., :-1]
        bases = (past * bases[..., :-1] + (d + 1 - past) * bases[..., 1:]) / d
    return bases


class KANLinear(nn.Module):
    """y_o = sum_i w_oi silu(x_i) + s_oi sum_g c_oig B_g(x_i): [..., I] -> [..., O].

    The bases are taken once an input, not once an edge. In at least float32 whatever autocast says:
    half a precision cannot place x within an interval. I * O * (G + k + 2) parameters. The splines
    are 0 where |x| > 1 + 2k/G (2.2): normalise what comes in, or they are dead.

    The start follows efficient-kan where it is plain: w and s as a Linear layer's weights
    (uniform within 1/sqrt(I)), small random coefficients, uniform within 0.05/G.
    """

    def __init__(self, inputs: int, outputs: int, intervals: int = 5, order: int = 3) -> None:
        super().__init__()
        self.intervals, self.order = intervals, order
        self.base = nn.Parameter(torch.empty(outputs, inputs))
        self.scale = nn.Parameter(torch.empty(outputs, inputs))
        self.coefficients = nn.Parameter(torch.empty(outputs, inputs, intervals + order))
        bound = 1 / math.sqrt(inputs)
        nn.init.uniform_(self.base, -bound, bound)
        nn.init.uniform_(self.scale, -bound, bound)
        nn.init.uniform_(self.coefficients, -0.05 / intervals, 0.05 / intervals)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[..., I] -> [..., O], float32 (float64 stays)."""
        with torch.autocast(x.device.type, enabled=False):
            x = x if x.dtype == torch.float64 else x.float()
            bases = bsplines(x, self.intervals, self.order).flatten(-2)
            # edges: (outputs, inputs, bases) -> (outputs, inputs * bases)
            edges = (self.scale.unsqueeze(-1) * self.coefficients).flatten(1)
            return F.linear(F.silu(x), self.base) + F.linear(bases, edges)


def kan(widths: tuple[int, ...], intervals: int = 5, order: int = 3) -> nn.Sequential:
    """KAN layers one after the other (eq. 13): [B, widths[0]] -> [B, widths[-1]]."""
    return nn.Sequential(*(KANLinear(i, o, intervals, order) for i, o in pairwise(widths)))
