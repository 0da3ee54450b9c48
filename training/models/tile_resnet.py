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
from safetensors.torch import load_file
from timm.models import adapt_input_conv
from torch import nn
from torch.utils.checkpoint import checkpoint

from training.config import Model
from training.models.backbone import build as build_backbone
from training.models.backbone import checked_file

#: torchvision's ImageNet weights, as the paper's PyTorch would have loaded them.
RESNET = "resnet18.tv_in1k"


class TileResNet(nn.Module):
    """Tiles [M, 1, s, s] -> maps [M, width, s / 32, s / 32]."""

    def __init__(self, cnn: nn.Module) -> None:
        """`cnn`: timm's ResNet; its weights keep their names under ``cnn.``."""
        super().__init__()
        self.cnn = cnn
        self.checkpointing = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Part by part, keeping of each what its gradient needs, or only what it was fed."""
        for part in self._parts():
            if self.checkpointing and torch.is_grad_enabled():
                x = checkpoint(part, x, use_reentrant=False, context_fn=_contexts(self.cnn))
            else:
                x = part(x)
        return x

    def _parts(self) -> Iterator[Callable[[torch.Tensor], torch.Tensor]]:
        yield self._stem
        for stage in ("layer1", "layer2", "layer3", "layer4"):
            yield from self.cnn.get_submodule(stage).children()

    def _stem(self, x: torch.Tensor) -> torch.Tensor:
        for name in ("conv1", "bn1", "act1", "maxpool"):
            x = self.cnn.get_submodule(name)(x)
        return x


def _contexts(
    cnn: nn.Module,
) -> Callable[[], tuple[AbstractContextManager, AbstractContextManager]]:
    return lambda: (nullcontext(), _unrecorded(cnn))


@contextmanager
def _unrecorded(cnn: nn.Module) -> Iterator[None]:
    """Batch norms that leave their running statistics alone: they saw this batch already."""
    recording = [
        m for m in cnn.modules() if isinstance(m, nn.BatchNorm2d) and m.track_running_stats
    ]
    if not cnn.training:  # there the running statistics are what is used
        recording = []
    for norm in recording:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in recording:
            norm.track_running_stats = True


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
    state = {k: v for k, v in load_file(path).items() if not k.startswith("fc.")}
    try:
        state["conv1.weight"] = adapt_input_conv(1, state["conv1.weight"])
        cnn.load_state_dict(state)
    except (KeyError, RuntimeError, NotImplementedError) as e:
        raise ValueError(f"{path}: not the weights of this ResNet-18: {e}") from e
