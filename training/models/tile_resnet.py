"""ResNet-18 with one input channel, shared by all tiles, without its pooling and its classifier.

Batch norm's statistics are those of all tiles of all pictures of a batch together: taken tile by
tile a dark corner would be stretched while training and left dark afterwards.

Checkpointing keeps only what each residual block is fed and computes the block's inside again on
the way back. The cut runs between blocks and not between tiles because of those statistics; what is
computed is the same operation on the same numbers, so the gradients are the same to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn
from torch.utils.checkpoint import checkpoint

from training.config import Model
from training.models.backbone import build as build_backbone
from training.models.backbone import checked_file

#: torchvision's ImageNet weights, as the paper's PyTorch would have loaded them.
RESNET = "resnet18.tv_in1k"
#: Tiles at a time where nothing is learnt and none depends on another: 64 pictures of the paper's
#: 36 tiles would need 19 GiB.
ANSWERED = 144
STEM, STAGES = ("conv1", "bn1", "act1", "maxpool"), ("layer1", "layer2", "layer3", "layer4")


class TileResNet(nn.Module):
    """Tiles [M, 1, s, s] -> maps [M, width, s / 32, s / 32]."""

    def __init__(self, cnn: nn.Module) -> None:
        """`cnn`: timm's ResNet; its weights keep their names under ``cnn.``."""
        super().__init__()
        self.cnn = cnn
        self.checkpointing = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Part by part, keeping of each what its gradient needs, or only what it was fed."""
        if self.training or torch.is_grad_enabled():
            return self._pass(x)
        return torch.cat([self._pass(some) for some in x.split(ANSWERED)])

    def _pass(self, x: torch.Tensor) -> torch.Tensor:
        for part in self.parts():
            if self.checkpointing and torch.is_grad_enabled():
                x = checkpoint(part, x, use_reentrant=False, context_fn=_contexts(part))
            else:
                x = part(x)
        return x

    def parts(self) -> Iterator[nn.Module]:
        """The stem and the eight residual blocks, in order."""
        yield nn.Sequential(*(self.cnn.get_submodule(x) for x in STEM))
        for stage in STAGES:
            yield from self.cnn.get_submodule(stage).children()


def _contexts(
    part: nn.Module,
) -> Callable[[], tuple[AbstractContextManager, AbstractContextManager]]:
    return lambda: (nullcontext(), _unrecorded(part))


@contextmanager
def _unrecorded(part: nn.Module) -> Iterator[None]:
    """Batch norms write their running statistics into copies: they saw this batch already."""
    kept = [(m, name, b) for m in part.modules() for name, b in m.named_buffers(recurse=False)]
    for module, name, buffer in kept:
        setattr(module, name, buffer.clone())
    try:
        yield
    finally:
        for module, name, buffer in kept:
            setattr(module, name, buffer)


def tile_resnet(config: Model, width: int, load: bool) -> TileResNet:
    """ResNet-18 whose last stage has `width` channels, and ImageNet weights where asked for.

    Args:
        config: of the whole model: where ResNet-18's weights come from (``pretrained``: 'none',
            'tag' for torchvision's by way of timm, or a .safetensors with its hash), drop path.
        width: 512, or a smaller one that no weights fit.
        load: False leaves the start random because a checkpoint is loaded right after.

    Raises:
        ValueError: the weights are missing, of another network, or not of the stated hash.
    """
    from_file = load and config.pretrained not in ("none", "tag")
    named = config.model_copy(
        update={"name": RESNET, "pretrained": "none" if from_file else config.pretrained}
    )
    channels = tuple(width // 8 * 2**i for i in range(4))
    cnn = build_backbone(named, load, num_classes=0, channels=channels)
    if from_file:
        load_imagenet(cnn, checked_file(config))
    return TileResNet(cnn)


def load_imagenet(cnn: nn.Module, path: Path) -> None:
    """ResNet-18's state dict, of three channels or one, into a `cnn` of one channel.

    The first convolution is summed over RGB: a grey picture shown to all three channels would have
    given the same. The classifier ``fc`` is left out; anything else must match name by name.

    Raises:
        ValueError: it does not.
    """
    try:
        state = {k: v for k, v in load_file(path).items() if not k.startswith("fc.")}
        first = state.get("conv1.weight")
        if first is not None and first.ndim == 4 and first.shape[1] == 3:
            state["conv1.weight"] = first.sum(1, keepdim=True)
        cnn.load_state_dict(state)
    except (SafetensorError, RuntimeError) as e:
        raise ValueError(f"{path}: not the weights of this ResNet-18: {e}") from e
