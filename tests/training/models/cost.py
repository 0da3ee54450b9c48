"""Where the time of Face2Bone goes: forward and backward of each block at the paper's size.

    python -m tests.training.models.cost

One picture of 224 x 224, one thread, CPU milliseconds, medians; then what two habits save, side by
side: one product of the mixed top-k weights with the values, for the four of DRSformer; tokens laid
out one after the other before attention over the whole map, for views that are not.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from tests.bench.harness import Side, alternate, clock, machine
from training.face import Face
from training.memory import keep_freed
from training.models.face2bone import Face2Bone
from training.models.frequency_attention import HiLo, TopKChannelAttention
from training.models.inception_resnet_v1 import InceptionResnetV1

SIDES = (56, 28, 14, 7)


class FourProducts(TopKChannelAttention):
    """As in DRSformer: maps of unit length, one mask, softmax and product for each k."""

    def forward(self, x_BCHW: torch.Tensor) -> torch.Tensor:
        q, k, v = self.near(self.qkv(x_BCHW)).unflatten(1, (3, self.heads, -1)).flatten(4).unbind(1)
        scores = F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).transpose(-2, -1)
        scores = scores * self.temperature[:, None, None]
        out = torch.zeros_like(v)
        for share, keep in zip(self.shares, self.keep, strict=True):
            mask = torch.ones_like(scores).scatter_(-1, scores.topk(keep, -1).indices, 0.0).bool()
            out = out + share * (scores.masked_fill(mask, -torch.inf).softmax(-1) @ v)
        return self.out(out.reshape(x_BCHW.shape))


class Strided(HiLo):
    """Attention over views [B, h, N, D] of maps [B, h, D, N]."""

    def _to_windows(self, x_BCHW: torch.Tensor) -> torch.Tensor:
        means = F.avg_pool2d(x_BCHW, self.window, ceil_mode=True, count_include_pad=False)
        q = self.low_q(x_BCHW).unflatten(1, (-1, self.dim)).flatten(3)
        k, v = self.low_kv(means).unflatten(1, (2, -1, self.dim)).flatten(4).unbind(1)
        out = F.scaled_dot_product_attention(*(t.transpose(-2, -1) for t in (q, k, v)))
        return out.transpose(-2, -1).reshape(len(x_BCHW), -1, *x_BCHW.shape[-2:])


def step(block: nn.Module, *shape: int) -> Side:
    """Forward and backward, with the gradients of weights and maps."""
    x = torch.randn(shape, requires_grad=shape[1] != 3)  # a picture needs no gradient

    def work() -> None:
        block.zero_grad()
        block(x).sum().backward()

    return clock(work)


def parts(config: Face) -> dict[str, Side]:
    """Every block of the network on an input of its own."""
    model = Face2Bone(config)
    sides = {"stem": step(model.stem, 1, 3, 224, 224)}
    before, width_before = SIDES[0], config.widths[0]
    for i, (stage, side, width) in enumerate(zip(model.stages, SIDES, config.widths, strict=True)):
        shape = (1, width, side, side)
        sides[f"residual {i + 1}"] = step(stage.residual, 1, width_before, before, before)
        sides[f"top-k {i + 1}"] = step(stage.fsa.sparse, *shape)
        sides[f"HiLo {i + 1}"] = step(stage.fsa.hilo, *shape)
        sides[f"FFN {i + 1}"] = step(stage.fsa.ffn, *shape)
        sides[f"norms {i + 1}"] = step(nn.Sequential(stage.fsa.norm1, stage.fsa.norm2), *shape)
        sides[f"SSAM {i + 1}"] = step(stage.ssam, *shape)
        before, width_before = side, width
    sides["KAN head"] = step(model.head, 1, config.widths[-1])
    return sides | {"all": step(model, 1, 3, 224, 224)}


def main() -> None:
    """Print the table."""
    keep_freed()  # as training does
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(machine(), end="\n\n| block | CPU ms, forward and backward |\n|---|---|\n")
    times = alternate(parts(Face(facenet="none")), rounds=5)
    for name in times.of:
        print(f"| {name} | {times.median(name) * 1e3:.1f} |")
    facenet, crop = InceptionResnetV1().eval(), torch.randn(1, 3, 160, 160)
    with torch.no_grad():
        once = alternate({"facenet": clock(lambda: facenet(crop))}, rounds=5)
    print(f"| FaceNet, forward only | {once.median('facenet') * 1e3:.1f} |")
    print("\n| habit | ratio (lowest-highest round) |\n|---|---|")
    for width, side, heads in ((64, 56, 1), (512, 7, 8)):
        shape = (1, width, side, side)
        ours, theirs = TopKChannelAttention(width, heads), FourProducts(width, heads)
        theirs.load_state_dict(ours.state_dict())
        x = torch.randn(shape)
        assert torch.allclose(ours(x), theirs(x), atol=1e-5)
        t = alternate({"ours": step(ours, *shape), "four": step(theirs, *shape)})
        print(f"| one product, not four, {width} at {side} | {t.ratio('four', 'ours')} |")
        ours, theirs = HiLo(width, width // 32), Strided(width, width // 32)
        sides = {"ours": step(ours, *shape), "strided": step(theirs, *shape)}
        print(
            f"| tokens in a row, {width} at {side} | {alternate(sides).ratio('strided', 'ours')} |"
        )


if __name__ == "__main__":
    main()
