"""Learning rates that fall with depth: what is nearest to the picture changes least.

Each layer's rate is that of the one above it times ``Stage.layer_decay``; the classifier has the
whole rate (BEiT, Bao et al. 2021; "discriminative fine-tuning", Howard & Ruder 2018). So a network
that starts from learnt weights keeps what its first layers know. What a layer is timm says of each
network (`group_matcher`): a stem, a block, a head.
"""

from __future__ import annotations

from typing import Any

from timm.models import group_parameters
from torch import nn

from training.models.cumulative_link import CumulativeLink


def rate_scales(model: nn.Module, decay: float) -> dict[str, float]:
    """By what each parameter's learning rate is multiplied: parameter name -> (0, 1].

    Raises:
        ValueError: the network is not said to have layers.
    """
    if decay == 1:
        return {name: 1.0 for name, _ in model.named_parameters()}
    network: Any = model.network if isinstance(model, CumulativeLink) else model
    prefix = "network." if network is not model else ""
    if not hasattr(network, "group_matcher"):
        raise ValueError(
            f"layer_decay={decay:g}: {type(network).__name__} is not told apart by layers: set "
            "layer_decay=1"
        )
    matcher = network.group_matcher(coarse=False)
    layers: dict[str, int] = dict(group_parameters(network, matcher, reverse=True))
    top = max(layers.values())
    scales = {prefix + name: decay ** (top - layer) for name, layer in layers.items()}
    # The cuts of an ordinal model are its classifier.
    return {name: scales.get(name, 1.0) for name, _ in model.named_parameters()}
