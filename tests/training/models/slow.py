"""The same blocks again, slowly: numpy, float64, a loop for each index of the papers' equations."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from scipy.signal import correlate2d
from torch import nn


def weights(module: nn.Module) -> dict[str, np.ndarray]:
    """A module's state by name, float64."""
    return {k: v.detach().double().numpy() for k, v in module.state_dict().items()}


def softmax(scores: list[float]) -> np.ndarray:
    e = np.exp(np.array(scores) - max(scores))
    return e / e.sum()


def pointwise(x_CHW: np.ndarray, weight: np.ndarray, bias: np.ndarray | None = None) -> np.ndarray:
    """A 1x1 convolution."""
    out = np.einsum("oc,chw->ohw", weight[:, :, 0, 0], x_CHW)
    return out if bias is None else out + bias[:, None, None]


def top_k_attention(
    x_CHW: np.ndarray, w: dict[str, np.ndarray], heads: int, fractions: tuple[str, ...]
) -> np.ndarray:
    """Top-k sparse channel attention, row by row."""
    channels, height, width = x_CHW.shape
    dim = channels // heads
    qkv = pointwise(x_CHW, w["qkv.weight"])
    qkv = np.stack(
        [correlate2d(c, k[0], mode="same") for c, k in zip(qkv, w["near.weight"], strict=True)]
    )
    q, k, v = qkv.reshape(3, heads, dim, height * width)
    out = np.zeros((heads, dim, height * width))
    for h in range(heads):
        for i in range(dim):
            scores = [
                w["temperature"][h]
                * (q[h, i] @ k[h, j])
                / (np.linalg.norm(q[h, i]) * np.linalg.norm(k[h, j]))
                for j in range(dim)
            ]
            largest_first = sorted(range(dim), key=lambda j: (-scores[j], j))
            for share, fraction in zip(w["shares"], fractions, strict=True):
                kept = largest_first[: max(1, int(Fraction(fraction) * dim))]
                for j, p in zip(kept, softmax([scores[j] for j in kept]), strict=True):
                    out[h, i] += share * p * v[h, j]
    return pointwise(out.reshape(channels, height, width), w["out.weight"])


def attend(q: np.ndarray, keys: list[np.ndarray], values: list[np.ndarray]) -> np.ndarray:
    """One query's answer, eq. 2."""
    p = softmax([q @ k / np.sqrt(len(q)) for k in keys])
    return sum(p_j * v_j for p_j, v_j in zip(p, values, strict=True))


def hilo(
    x_CHW: np.ndarray, w: dict[str, np.ndarray], heads: int, low_heads: int, window: int
) -> np.ndarray:
    """HiLo, place by place; a window at the border has the places that are there."""
    channels, height, width = x_CHW.shape
    dim, high_heads = channels // heads, heads - low_heads
    corners = [(y, x) for y in range(0, height, window) for x in range(0, width, window)]
    windows = [
        [
            (y + i, x + j)
            for i in range(window)
            for j in range(window)
            if y + i < height and x + j < width
        ]
        for y, x in corners
    ]
    parts = []
    if high_heads:
        out = np.zeros((high_heads * dim, height, width))
        q, k, v = pointwise(x_CHW, w["high_qkv.weight"]).reshape(3, -1, height, width)
        for h in range(high_heads):
            c = slice(h * dim, (h + 1) * dim)
            for places in windows:
                keys, values = ([t[c, y, x] for y, x in places] for t in (k, v))
                for y, x in places:
                    out[c, y, x] = attend(q[c, y, x], keys, values)
        parts.append(pointwise(out, w["high_out.weight"], w["high_out.bias"]))
    if low_heads:
        out = np.zeros((low_heads * dim, height, width))
        q = pointwise(x_CHW, w["low_q.weight"])
        means = np.stack([np.mean([x_CHW[:, y, x] for y, x in ps], axis=0) for ps in windows], 1)
        k, v = pointwise(means[..., None], w["low_kv.weight"]).reshape(2, -1, len(windows))
        for h in range(low_heads):
            c = slice(h * dim, (h + 1) * dim)
            for y in range(height):
                for x in range(width):
                    out[c, y, x] = attend(q[c, y, x], list(k[c].T), list(v[c].T))
        parts.append(pointwise(out, w["low_out.weight"], w["low_out.bias"]))
    return np.concatenate(parts)


def convolution(x_CHW: np.ndarray, weight: np.ndarray, stride: int, same: bool) -> np.ndarray:
    """A convolution without bias."""
    kernel = weight.shape[2:]
    if same:
        x_CHW = np.pad(x_CHW, [(0, 0), *((k // 2, k // 2) for k in kernel)])
    patches = sliding_window_view(x_CHW, kernel, axis=(1, 2))[:, ::stride, ::stride]
    return np.tensordot(weight, patches, axes=[(1, 2, 3), (0, 3, 4)])


def pooled(x_CHW: np.ndarray) -> np.ndarray:
    """A max-pool 3x3/2."""
    return sliding_window_view(x_CHW, (3, 3), axis=(1, 2))[:, ::2, ::2].max((3, 4))


def inception_resnet_v1(x_CHW: np.ndarray, state: Callable[[str], np.ndarray]) -> np.ndarray:
    """The embedding of one face, [512], from weights asked for by their published names."""

    def normed(x: np.ndarray, name: str) -> np.ndarray:
        g, b, mean, var = (
            state(f"{name}.{p}") for p in ("weight", "bias", "running_mean", "running_var")
        )
        shape = (-1, *[1] * (x.ndim - 1))
        scale = g / np.sqrt(var + 1e-3)
        return x * scale.reshape(shape) + (b - mean * scale).reshape(shape)

    def unit(x: np.ndarray, name: str, stride: int = 1, same: bool = True) -> np.ndarray:
        conv = convolution(x, state(f"{name}.conv.weight"), stride, same)
        return np.maximum(normed(conv, f"{name}.bn"), 0)

    def chain(x: np.ndarray, name: str, length: int, shrink: bool = False) -> np.ndarray:
        for i in range(length):
            last = shrink and i == length - 1
            x = unit(x, f"{name}.{i}" if length > 1 else name, 2 if last else 1, not last)
        return x

    def block(x: np.ndarray, name: str, lengths: tuple[int, ...], scale: float) -> np.ndarray:
        each = [chain(x, f"{name}.branch{i}", n) for i, n in enumerate(lengths)]
        mixed = convolution(np.concatenate(each), state(f"{name}.conv2d.weight"), 1, False)
        return x + scale * (mixed + state(f"{name}.conv2d.bias")[:, None, None])

    def shrinking(x: np.ndarray, name: str, lengths: tuple[int, ...]) -> np.ndarray:
        each = [chain(x, f"{name}.branch{i}", n, shrink=True) for i, n in enumerate(lengths)]
        return np.concatenate([*each, pooled(x)])

    x = unit(x_CHW, "conv2d_1a", 2, False)
    x = unit(x, "conv2d_2a", 1, False)
    x = pooled(unit(x, "conv2d_2b"))
    x = unit(x, "conv2d_3b")
    x = unit(x, "conv2d_4a", 1, False)
    x = unit(x, "conv2d_4b", 2, False)
    for i in range(5):
        x = np.maximum(block(x, f"repeat_1.{i}", (1, 2, 3), 0.17), 0)
    x = shrinking(x, "mixed_6a", (1, 3))
    for i in range(10):
        x = np.maximum(block(x, f"repeat_2.{i}", (1, 3), 0.10), 0)
    x = shrinking(x, "mixed_7a", (2, 2, 3))
    for i in range(5):
        x = np.maximum(block(x, f"repeat_3.{i}", (1, 3), 0.20), 0)
    x = block(x, "block8", (1, 3), 1.0)
    x = normed(state("last_linear.weight") @ x.mean((1, 2)), "last_bn")
    return x / np.linalg.norm(x)


def drawn(module: nn.Module, seed: int = 0) -> nn.Module:
    """`module` with weights that hide nothing: biases, scales and statistics are not 0 and 1."""
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if not tensor.is_floating_point():
                continue
            if name.endswith("running_var") or (tensor.ndim == 1 and name.endswith("weight")):
                tensor.uniform_(0.5, 1.5, generator=g)
            elif tensor.ndim == 1:
                tensor.add_(torch.empty_like(tensor).uniform_(-0.3, 0.3, generator=g))
    return module
