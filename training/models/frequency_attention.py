"""Frequency sparse attention (FSA): top-k attention over channels, then high and low frequencies.

Face2Bone (Liang et al.), Methods, "FSA (frequency sparse attention) module", eqs. 6-8, after Chen
et al. CVPR 2023 (DRSformer, arXiv 2303.11950) and Pan et al. NeurIPS 2022 (HiLo, arXiv 2205.13213).
What the paper leaves open is said, with the decision, where it is decided.
"""

from __future__ import annotations

import math
from fractions import Fraction

import torch
from torch import nn
from torch.nn import functional as F

# Shapes: B pictures, C channels, H x W places, N = H W of them, h heads, D = C / h channels a head,
# s the side of a window, S = s s its places, M windows.
FRACTIONS = ("1/2", "2/3", "3/4", "4/5")


def kept(dim: int, fractions: tuple[str, ...]) -> tuple[int, ...]:
    """Each k of the top k of `dim` channels: fractions like "2/3", rounded down, at least 1.

    Raises:
        ValueError: there are none, or one is no fraction within (0, 1].
    """
    try:
        shares = [Fraction(f) for f in fractions]
    except (ValueError, ZeroDivisionError) as e:
        raise ValueError(f"fractions {fractions}: write each as 2/3 or 0.5") from e
    if not shares or any(not 0 < share <= 1 for share in shares):
        raise ValueError(f"fractions {fractions}: give at least one, each within (0, 1]")
    return tuple(max(1, int(dim * share)) for share in shares)


def low_heads(heads: int, window: int, alpha: float) -> int:
    """How many of HiLo's heads see low frequencies: floor(alpha heads), all where window is 1.

    Raises:
        ValueError: window or alpha out of range, or alpha > 0 and yet no head for low frequencies.
    """
    if window < 1 or not 0 <= alpha <= 1:
        raise ValueError(f"window {window} must be at least 1, alpha {alpha} within [0, 1]")
    if window == 1:
        return heads
    # 100 * 0.57 is 56.99...: the floor of what was written, not of what floats make of it
    low = math.floor(heads * alpha + 1e-9)
    if alpha and not low:
        raise ValueError(
            f"alpha {alpha} of {heads} HiLo heads leaves none for low frequencies: "
            "give more heads, or alpha 0"
        )
    return low


class TopKChannelAttention(nn.Module):
    """Channels attend to the most similar channels: [B, C, H, W] -> the same.

    q, k, v = DW3x3(Conv1x1(X)), each [B, h, D, N]; rows of q and k of unit length over places;
    M = tau_h q k^T [D, D] (eq. 7, 1/lambda = tau_h); A_i = softmax over the k_i largest of each row
    of M, elsewhere 0; out = Conv1x1((sum_i a_i A_i) v). 4C^2 + 27C + h + len(fractions) parameters.

    Open in the paper, decided here: what is not among the top k is left out of the softmax (eq. 8
    puts a score of 0 there, the text a probability of 0); k and [Delta1, Delta2] are not given: k_i
    are fractions of D, rounded down, at least 1, weighed by learnable a_i that start at 0.2;
    lambda is learnt, one a head. Of equal scores the first channel counts as the larger, so that k
    are kept on any device.
    """

    def __init__(
        self, channels: int, heads: int = 1, fractions: tuple[str, ...] = FRACTIONS
    ) -> None:
        """`fractions` of a head's channels that are attended to, each within (0, 1], as "2/3"."""
        super().__init__()
        if channels % heads:
            raise ValueError(f"{channels} channels cannot be shared by {heads} heads")
        self.heads, self.keep = heads, kept(channels // heads, fractions)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1, bias=False)
        self.near = nn.Conv2d(
            3 * channels, 3 * channels, 3, padding=1, groups=3 * channels, bias=False
        )
        self.temperature = nn.Parameter(torch.ones(heads))
        self.shares = nn.Parameter(torch.full((len(fractions),), 0.2))
        self.out = nn.Conv2d(channels, channels, 1, bias=False)

    def forward(self, x_BCHW: torch.Tensor) -> torch.Tensor:
        """[B, C, H, W] -> [B, C, H, W]."""
        qkv = self.near(self.qkv(x_BCHW))
        # (batch, qkv, heads, channels, height, width) -> three of (batch, heads, channels, places)
        q_BhDN, k_BhDN, v_BhDN = qkv.unflatten(1, (3, self.heads, -1)).flatten(4).unbind(1)
        # lengths are divided out of the D x D products, not out of the D x N maps
        lengths = _length(q_BhDN) * _length(k_BhDN).transpose(-2, -1)
        scores_BhDD = q_BhDN @ k_BhDN.transpose(-2, -1) / lengths * self.temperature[:, None, None]
        weights_BhDD = sparse_softmax(scores_BhDD, self.keep, self.shares)
        return self.out((weights_BhDD.to(v_BhDN.dtype) @ v_BhDN).reshape(x_BCHW.shape))


def _length(x_BhDN: torch.Tensor) -> torch.Tensor:
    # not below 1e-6: a channel that is 0 everywhere has no direction, and gets no gradient of 1e12
    return torch.linalg.vector_norm(x_BhDN, dim=-1, keepdim=True).clamp_min(1e-6)


def sparse_softmax(
    scores: torch.Tensor, keep: tuple[int, ...], shares: torch.Tensor
) -> torch.Tensor:
    """sum_i shares_i softmax(the keep_i largest of each row), [..., D, D] -> the same."""
    order = scores.detach().argsort(stable=True, dim=-1, descending=True)
    places = torch.arange(order.shape[-1], device=order.device).expand_as(order)
    rank = torch.empty_like(order).scatter_(-1, order, places)
    each = [scores.masked_fill(rank >= k, -math.inf).softmax(-1) for k in keep]
    return (torch.stack(each, -1) * shares).sum(-1)


class HiLo(nn.Module):
    """Local attention within windows beside global attention to their means: [B, C, H, W] -> same.

    Of h heads floor(alpha h) are low, the others high. High: self-attention within windows of
    s x s. Low: q of X, k and v of the windows' means, every place attends to every window. The
    output is concat(high, low) over channels; no projection mixes the two. Scores are scaled by
    D^-1/2 (eq. 2). window=1 is plain self-attention.

    Open in the paper, decided here: alpha 0.5 and s 2; sides that are no multiple of s (7 at the
    fourth stage) are padded, and the padding is neither attended to nor averaged in.
    """

    def __init__(self, channels: int, heads: int, window: int = 2, alpha: float = 0.5) -> None:
        super().__init__()
        if channels % heads:
            raise ValueError(f"{channels} channels cannot be shared by {heads} heads")
        self.window, self.dim = window, channels // heads
        self.low_heads = low_heads(heads, window, alpha)
        low = self.low_heads * self.dim
        high = channels - low
        if high:
            self.high_qkv = nn.Conv2d(channels, 3 * high, 1, bias=False)
            self.high_out = nn.Conv2d(high, high, 1)
        if low:
            self.low_q = nn.Conv2d(channels, low, 1, bias=False)
            self.low_kv = nn.Conv2d(channels, 2 * low, 1, bias=False)
            self.low_out = nn.Conv2d(low, low, 1)
        self.split = (high, low)

    def forward(self, x_BCHW: torch.Tensor) -> torch.Tensor:
        """[B, C, H, W] -> [B, C, H, W], high-frequency channels first."""
        high, low = self.split
        parts = []
        if high:
            parts.append(self.high_out(self._within_windows(self.high_qkv(x_BCHW))))
        if low:
            parts.append(self.low_out(self._to_windows(x_BCHW)))
        return torch.cat(parts, 1)

    def _within_windows(self, qkv: torch.Tensor) -> torch.Tensor:
        s, (height, width) = self.window, qkv.shape[-2:]
        down, right = -height % s, -width % s
        # (batch, qkv heads dim, height, width) -> (batch, qkv, heads, dim, rows, y, columns, x)
        qkv = _windows(F.pad(qkv, (0, right, 0, down)), s).unflatten(1, (3, -1, self.dim))
        B, _, _, _, rows, _, columns, _ = qkv.shape
        # -> three of (batch rows columns, heads, y x, dim)
        q, k, v = qkv.permute(1, 0, 4, 6, 2, 5, 7, 3).flatten(5, 6).flatten(1, 3).unbind(0)
        mask = None
        if down or right:
            real = F.pad(qkv.new_ones(1, height, width, dtype=torch.bool), (0, right, 0, down))
            # (batch, rows, y, columns, x) -> (batch rows columns, heads, queries, y x)
            real = _windows(real.expand(B, -1, -1), s).transpose(2, 3)
            mask = real.flatten(3).flatten(0, 2)[:, None, None]
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        # (batch rows columns, heads, y x, dim) -> (batch, heads, dim, rows, y, columns, x)
        out = out.unflatten(2, (s, s)).unflatten(0, (B, rows, columns)).permute(0, 3, 6, 1, 4, 2, 5)
        return out.reshape(B, -1, rows * s, columns * s)[..., :height, :width]

    def _to_windows(self, x_BCHW: torch.Tensor) -> torch.Tensor:
        # windows that reach over the border: the mean of what is inside
        means = F.avg_pool2d(x_BCHW, self.window, ceil_mode=True)
        q_BhDN = self.low_q(x_BCHW).unflatten(1, (-1, self.dim)).flatten(3)
        k_BhDM, v_BhDM = self.low_kv(means).unflatten(1, (2, -1, self.dim)).flatten(4).unbind(1)
        # contiguous, or attention on a CPU writes all N x M scores out
        q, k, v = (t.transpose(-2, -1).contiguous() for t in (q_BhDN, k_BhDM, v_BhDM))
        out_BhND = F.scaled_dot_product_attention(q, k, v)
        return out_BhND.transpose(-2, -1).reshape(len(x_BCHW), -1, *x_BCHW.shape[-2:])


def _windows(x: torch.Tensor, s: int) -> torch.Tensor:
    """(..., height, width) -> (..., rows, y, columns, x)."""
    return x.unflatten(-2, (-1, s)).unflatten(-1, (-1, s))


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation over the channels of each place: [B, C, H, W] -> the same."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """[B, C, H, W] -> [B, C, H, W]."""
        return super().forward(input.movedim(1, -1)).movedim(-1, 1)


class FSABlock(nn.Module):
    """X1 = X + HiLo(TopK(LN(X))), then X1 + FFN(LN(X1)) (eqs. 4, 5): [B, C, H, W] -> the same.

    FFN = Conv1x1 -> GELU -> Conv1x1, wider by `expansion` in between.

    Open in the paper, decided here: the two attentions stand in series inside one residual ("then
    processes high and low frequencies separately"); LN and FFN are those of eqs. 4 and 5, with
    DRSformer's expansion of 2.66.
    """

    def __init__(
        self,
        channels: int,
        heads: int,
        hilo_heads: int,
        fractions: tuple[str, ...] = FRACTIONS,
        window: int = 2,
        alpha: float = 0.5,
        expansion: float = 2.66,
    ) -> None:
        super().__init__()
        hidden = int(channels * expansion)
        self.norm1 = ChannelNorm(channels)
        self.sparse = TopKChannelAttention(channels, heads, fractions)
        self.hilo = HiLo(channels, hilo_heads, window, alpha)
        self.norm2 = ChannelNorm(channels)
        self.ffn = nn.Sequential(
            nn.Conv2d(channels, hidden, 1), nn.GELU(), nn.Conv2d(hidden, channels, 1)
        )

    def forward(self, x_BCHW: torch.Tensor) -> torch.Tensor:
        """[B, C, H, W] -> [B, C, H, W]."""
        x_BCHW = x_BCHW + self.hilo(self.sparse(self.norm1(x_BCHW)))
        return x_BCHW + self.ffn(self.norm2(x_BCHW))
