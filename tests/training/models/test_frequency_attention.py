from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.training.models import slow
from training.models.frequency_attention import (
    ChannelNorm,
    FSABlock,
    HiLo,
    TopKChannelAttention,
    sparse_softmax,
)


def picture(*shape: int, seed: int = 0) -> torch.Tensor:
    g = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=g, dtype=torch.float64)


def each(function, x: torch.Tensor) -> np.ndarray:
    return np.stack([function(one) for one in x.numpy()])


def gradients_are_true(module: torch.nn.Module, x: torch.Tensor) -> bool:
    """Of the input and of every parameter, against finite differences."""
    named = dict(module.named_parameters())
    assert torch.autograd.gradcheck(module, (x.clone().requires_grad_(),))

    def run(*p: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(module, dict(zip(named, p, strict=True)), (x,))

    return torch.autograd.gradcheck(run, [p.detach().requires_grad_() for p in named.values()])


@pytest.mark.parametrize(
    ("channels", "heads", "fractions", "keep"),
    [
        (12, 1, ("1/2", "2/3", "3/4", "4/5"), (6, 8, 9, 9)),
        (12, 3, ("1/2",), (2,)),
        (10, 2, ("1/5", "1"), (1, 5)),
        (4, 4, ("1/2", "3/4"), (1, 1)),  # one channel a head: still one is kept
    ],
)
def test_top_k_attention_is_the_loops(channels, heads, fractions, keep):
    torch.manual_seed(0)
    block = TopKChannelAttention(channels, heads, fractions).double()
    assert block.keep == keep
    with torch.no_grad():
        block.temperature.copy_(torch.linspace(0.5, 3, heads))
        block.shares.copy_(torch.linspace(-0.2, 0.7, len(fractions)))
    x = picture(2, channels, 4, 3)
    expected = each(lambda one: slow.top_k_attention(one, slow.weights(block), heads, fractions), x)
    np.testing.assert_allclose(block(x).detach(), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("channels", "heads", "count"),
    [(48, 1, 10_517), (64, 2, 18_118), (128, 2, 68_998), (256, 4, 269_064), (512, 8, 1_062_412)],
)
def test_parameters_of_top_k_attention(channels, heads, count):
    block = TopKChannelAttention(channels, heads)
    assert sum(p.numel() for p in block.parameters()) == count


def test_k_is_exact_where_floats_would_round():
    """int(50 * 0.58) is 28."""
    assert TopKChannelAttention(50, 1, ("29/50", "0.58")).keep == (29, 29)


def test_exactly_k_are_kept_when_scores_tie_and_the_first_ones():
    scores = torch.tensor([[1.0, 3, 3, 3], [0, 0, 0, 0]])
    kept = sparse_softmax(scores, (2,), torch.ones(1))
    assert kept.tolist() == [[0, 0.5, 0.5, 0], [0.5, 0.5, 0, 0]]


def test_all_kept_is_a_softmax():
    scores = picture(2, 5, 5)
    kept = sparse_softmax(scores, (5, 5), torch.tensor([0.25, 0.75]))
    assert torch.allclose(kept, scores.softmax(-1))


@pytest.mark.parametrize(
    ("side", "window", "heads", "alpha", "low_heads"),
    [
        ((4, 4), 2, 2, 0.5, 1),
        ((7, 7), 2, 2, 0.5, 1),
        ((5, 4), 2, 4, 0.75, 3),
        ((5, 7), 3, 2, 0.5, 1),
        ((1, 1), 2, 2, 0.5, 1),
        ((3, 2), 4, 2, 0.5, 1),
        ((3, 3), 2, 2, 0.0, 0),
        ((3, 3), 2, 2, 1.0, 2),
        ((3, 4), 1, 2, 0.5, 2),  # a window of 1: plain self-attention
    ],
)
def test_hilo_is_the_loops(side, window, heads, alpha, low_heads):
    torch.manual_seed(0)
    block = HiLo(8, heads, window, alpha).double()
    assert block.low_heads == low_heads
    x = picture(2, 8, *side)
    expected = each(lambda one: slow.hilo(one, slow.weights(block), heads, low_heads, window), x)
    np.testing.assert_allclose(block(x).detach(), expected, rtol=1e-10, atol=1e-12)


def test_a_window_of_1_is_torchs_multi_head_attention():
    torch.manual_seed(0)
    block = HiLo(8, 2, window=1).double()
    theirs = torch.nn.MultiheadAttention(8, 2, batch_first=True, dtype=torch.float64)
    state = {k: v.squeeze() for k, v in block.state_dict().items()}
    theirs.load_state_dict(
        {
            "in_proj_weight": torch.cat([state["low_q.weight"], state["low_kv.weight"]]),
            "in_proj_bias": torch.zeros(24),
            "out_proj.weight": state["low_out.weight"],
            "out_proj.bias": state["low_out.bias"],
        }
    )
    x = picture(2, 8, 3, 5)
    tokens = x.flatten(2).transpose(1, 2)
    expected = theirs(tokens, tokens, tokens)[0].transpose(1, 2).reshape(x.shape)
    assert torch.allclose(block(x), expected)


@pytest.mark.parametrize(
    ("channels", "heads", "alpha", "count"),
    [(8, 4, 0.5, 232), (8, 4, 0.9, 240), (12, 3, 0.34, 524)],
)
def test_parameters_of_hilo(channels, heads, alpha, count):
    assert sum(p.numel() for p in HiLo(channels, heads, 2, alpha).parameters()) == count


def test_the_share_of_low_heads_is_what_was_written():
    """100 * 0.57 is 56.99999999999999."""
    assert HiLo(100, 100, 2, 0.57).low_heads == 57


def test_high_frequencies_stay_in_their_window_and_low_ones_go_everywhere():
    torch.manual_seed(0)
    block = HiLo(8, 2).double()
    x = picture(1, 8, 7, 7)
    other = x.clone()
    other[..., 6, 6] += 1  # a window of its own: the sides are odd
    changed = (block(x) - block(other)).abs().amax((0, 1)) > 1e-12
    high = (block(x) - block(other))[:, :4].abs().amax((0, 1)) > 1e-12
    assert changed.all()
    assert high.nonzero().tolist() == [[6, 6]]


def test_channel_norm_is_over_the_channels_of_a_place():
    norm = slow.drawn(ChannelNorm(6)).double()
    x = picture(2, 6, 3, 2)
    mean, var = x.mean(1, keepdim=True), x.var(1, unbiased=False, keepdim=True)
    normal = (x - mean) / (var + norm.eps).sqrt()
    expected = normal * norm.weight[:, None, None] + norm.bias[:, None, None]
    assert torch.allclose(norm(x), expected)


@pytest.mark.parametrize(
    "make",
    [
        lambda: TopKChannelAttention(4, 2),
        lambda: HiLo(4, 2),
        lambda: FSABlock(4, 2, 2),
    ],
    ids=["top-k", "hilo", "block"],
)
def test_gradients_are_those_of_finite_differences(make):
    torch.manual_seed(0)
    assert gradients_are_true(make().double(), picture(1, 4, 3, 3))


def test_a_block_is_two_residuals():
    torch.manual_seed(0)
    block = slow.drawn(FSABlock(8, 2, 2)).double()
    x = picture(1, 8, 3, 3)
    w = {part: slow.weights(getattr(block, part)) for part in ("sparse", "hilo", "ffn")}
    norm1 = block.norm1(x).detach()[0].numpy()
    sparse = slow.top_k_attention(norm1, w["sparse"], 2, ("1/2", "2/3", "3/4", "4/5"))
    middle = x + torch.from_numpy(slow.hilo(sparse, w["hilo"], 2, 1, 2))
    norm2 = block.norm2(middle).detach()[0].numpy()
    wide = slow.pointwise(norm2, w["ffn"]["0.weight"], w["ffn"]["0.bias"])
    assert len(wide) == 21  # 8 * 2.66
    wide = torch.nn.functional.gelu(torch.from_numpy(wide)).numpy()
    ffn = slow.pointwise(wide, w["ffn"]["2.weight"], w["ffn"]["2.bias"])
    assert torch.allclose(block(x), middle + torch.from_numpy(ffn))


def test_an_empty_picture_gives_finite_numbers_and_gradients():
    block = FSABlock(8, 2, 2)
    x = torch.zeros(2, 8, 7, 7, requires_grad=True)
    block(x).sum().backward()
    assert torch.isfinite(x.grad).all()
    assert all(torch.isfinite(p.grad).all() for p in block.parameters())


def test_the_layout_in_memory_changes_nothing():
    torch.manual_seed(0)
    block = FSABlock(16, 2, 4).double()
    x = picture(2, 16, 7, 6)
    there = block(x.contiguous(memory_format=torch.channels_last))
    assert torch.allclose(block(x), there, atol=1e-12)


def test_channels_that_heads_cannot_share_are_refused():
    with pytest.raises(ValueError, match="10 channels cannot be shared by 4 heads"):
        TopKChannelAttention(10, 4)
    with pytest.raises(ValueError, match="10 channels cannot be shared by 4 heads"):
        HiLo(10, 4)
    for wrong in ((), ("0",), ("3/2",), ("-1/2",)):
        with pytest.raises(ValueError, match="give at least one, each within"):
            TopKChannelAttention(8, 1, wrong)
    for wrong in (("half",), ("1/0",), ("nan",)):
        with pytest.raises(ValueError, match="write each as 2/3"):
            TopKChannelAttention(8, 1, wrong)
    with pytest.raises(ValueError, match=r"alpha 0\.4 of 2 HiLo heads leaves none"):
        HiLo(8, 2, 2, 0.4)
    with pytest.raises(ValueError, match="alpha"):
        HiLo(8, 2, 2, 1.5)
    with pytest.raises(ValueError, match="window 0"):
        HiLo(8, 2, 0)
