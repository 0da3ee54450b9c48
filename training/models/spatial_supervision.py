"""The spatial supervised attention module (SSAM): a face's embedding says where to look.

Face2Bone (Liang et al.), Methods, "SSAM (spatial supervised attention module)", eqs. 9-11.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import nn

# Shapes: B pictures, C channels, H x W places, N = H W, h heads, D = C / h, E the embedding.
Attention = Literal["softmax", "sigmoid"]


class SpatialSupervision(nn.Module):
    """F [B, C, H, W], embedding [B, E] -> F + Wo concat_h(A_h V_h), [B, C, H, W].

    K = Linear(embedding) [B, C, 1, 1] (eq. 9); Q, V = relu(Conv1x1(F)) (eq. 10);
    S_h(x, y) = <Q_h(x, y), K_h> / sqrt(D); A_h = N softmax over places of S_h, mean 1 (eq. 11).

    Open in the paper, decided here: there is one key a head, so that a softmax over keys would be
    1 everywhere and the embedding would do nothing; it is taken over the places instead.
    `attention="sigmoid"` gates each place by itself, A_h = 2 sigmoid(S_h). Either way a key of 0
    leaves A = 1, the path of the values. Convolutions are 1x1, the result is added to F. "Spatial
    and channel sub-modules" and position encodings by geodesic distance are named in the paper and
    nowhere defined: left out. The key starts with entries of size 1 for a face of unit length; from
    a Linear layer's usual start they would be 1/40, and all faces would look alike.

    Without a face branch (`embedding` 0) K is the linear map's bias alone: the same learnt key for
    every face.
    """

    def __init__(
        self, channels: int, heads: int, embedding: int, attention: Attention = "softmax"
    ) -> None:
        super().__init__()
        if channels % heads:
            raise ValueError(f"{channels} channels cannot be shared by {heads} heads")
        self.heads, self.attention = heads, attention
        self.key = nn.Linear(embedding, channels, bias=False) if embedding else None
        if self.key is not None:
            nn.init.normal_(self.key.weight)
        self.key_bias = nn.Parameter(torch.zeros(channels))
        self.query_value = nn.Conv2d(channels, 2 * channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)

    def forward(
        self, x_BCHW: torch.Tensor, embedding_BE: torch.Tensor | None = None
    ) -> torch.Tensor:
        """[B, C, H, W], [B, E] or None -> [B, C, H, W]."""
        assert (embedding_BE is None) == (self.key is None), "an embedding where there is a branch"
        key_BC = self.key_bias.expand(len(x_BCHW), -1)
        if self.key is not None:
            key_BC = key_BC + self.key(embedding_BE)
        qv = self.query_value(x_BCHW).relu()
        # (batch, query value, heads, dim, height, width) -> two of (batch, heads, dim, places)
        q_BhDN, v_BhDN = qv.unflatten(1, (2, self.heads, -1)).flatten(4).unbind(1)
        key_Bh1D = key_BC.unflatten(1, (self.heads, 1, -1)).to(q_BhDN.dtype)
        scores_Bh1N = key_Bh1D @ q_BhDN / math.sqrt(q_BhDN.shape[2])
        if self.attention == "softmax":
            weights_Bh1N = scores_Bh1N.softmax(-1) * scores_Bh1N.shape[-1]
        else:
            weights_Bh1N = 2 * scores_Bh1N.sigmoid()
        values = (weights_Bh1N.to(v_BhDN.dtype) * v_BhDN).reshape(x_BCHW.shape)
        return x_BCHW + self.out(values)
