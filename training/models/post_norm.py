"""The post-norm encoder layer of Li et al. 2026 (section 1.3; Vaswani et al. 2017).

    E'_i = LayerNorm(MHSA(E_{i-1}) + E_{i-1}),    E_i = LayerNorm(MLP(E'_i) + E'_i)

It is torch's ``TransformerEncoderLayer(norm_first=False)``, written out because attention over some
37 tokens gains nothing from fused kernels, whose choice would depend on the device and whose
gradients may differ from run to run.

Shapes: B pictures, T tokens, D numbers each, K heads of d = D / K.
"""

from __future__ import annotations

import torch
from torch import nn


class Attention(nn.Module):
    """Multi-head self-attention: softmax(Q K^T / sqrt(d)) V for each head, then W."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.drop = nn.Dropout(dropout)
        nn.init.xavier_uniform_(self.qkv.weight)
        nn.init.zeros_(self.qkv.bias)
        nn.init.zeros_(self.out.bias)

    def forward(self, x_BTD: torch.Tensor) -> torch.Tensor:
        """The same shape."""
        b, t, width = x_BTD.shape
        # (B, T, 3, K, d) -> (3, B, K, T, d)
        qkv = self.qkv(x_BTD).reshape(b, t, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        q_BKTd, k_BKTd, v_BKTd = qkv.unbind(0)
        scores_BKTT = q_BKTd @ k_BKTd.transpose(-2, -1) * q_BKTd.shape[-1] ** -0.5
        mixed_BKTd = self.drop(scores_BKTT.softmax(-1)) @ v_BKTd
        return self.out(mixed_BKTd.transpose(1, 2).reshape(b, t, width))


class PostNormLayer(nn.Module):
    """One encoder layer; dropout falls on what is added to the stream."""

    def __init__(self, width: int, heads: int, mlp: int, dropout: float) -> None:
        super().__init__()
        self.attention = Attention(width, heads, dropout)
        self.mlp = nn.Sequential(
            nn.Linear(width, mlp), nn.GELU(), nn.Dropout(dropout), nn.Linear(mlp, width)
        )
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.drop = nn.Dropout(dropout)

    def forward(self, e_BTD: torch.Tensor) -> torch.Tensor:
        """E_{i-1} -> E_i."""
        e_BTD = self.norm1(self.drop(self.attention(e_BTD)) + e_BTD)
        return self.norm2(self.drop(self.mlp(e_BTD)) + e_BTD)
