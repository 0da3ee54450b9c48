"""A network cut in two: f = h o g, where g gives a feature map and h goes on to the logits.

    last = cut(model)            # before the head
    earlier = cut(model, 1)      # one stage before that
    logits = last.above(last.below(images, face), face)

Two kinds are known: ours, which say so by `features`, `classify`, `stem` and `stages` (Face2Bone,
told by a FaceNet embedding that is held fixed), and timm's with maps, by `forward_features` and
`forward_head`. Concepts are non-negative, and maps may be signed (GELU, high frequencies): what is
`positive` is factorised, and the negative `remainder` is kept as it was for each picture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

#: [B, ...] and the faces' embeddings [B, 512], or None where there is no face branch.
Half = Callable[[torch.Tensor, torch.Tensor | None], torch.Tensor]


@dataclass(frozen=True)
class Cut:
    """`below` (g): images [B, 3, H, W] -> map [B, C, h, w]; `above` (h): map -> logits [B, K].

    `above` goes `onward` to the last map first, and then through the `head`. `layer` is the name of
    the stage after which the cut is.
    """

    layer: str
    below: Half
    onward: Half
    head: Callable[[torch.Tensor], torch.Tensor]

    def above(self, x: torch.Tensor, face: torch.Tensor | None) -> torch.Tensor:
        """h: a map [B, C, h, w] -> logits [B, K]."""
        return self.head(self.onward(x, face))


def positive(signed: torch.Tensor) -> torch.Tensor:
    """What of a map concepts are made of: ReLU(A)."""
    return torch.relu(signed)


def remainder(signed: torch.Tensor) -> torch.Tensor:
    """What is left of a map, so that positive - remainder is the map: ReLU(-A)."""
    return torch.relu(-signed)


def cut(model: nn.Module, back: int = 0) -> Cut:
    """Cut before the head, or `back` stages earlier.

    Raises:
        ValueError: the model is in training mode, has no maps to cut at, or not as many stages.
    """
    if model.training:
        raise ValueError("call model.eval() first: batch statistics would mix the crops")
    if back < 0:
        raise ValueError(f"back={back}: 0 is before the head, 1 one stage earlier")
    if all(hasattr(model, name) for name in ("features", "classify", "stem", "stages")):
        return _own(model, back)
    if all(hasattr(model, name) for name in ("forward_features", "forward_head", "feature_info")):
        return _timm(model, back)
    raise ValueError(
        f"{type(model).__name__} cannot be cut: it has neither features and classify (Face2Bone) "
        "nor forward_features and forward_head (timm)"
    )


def _own(model: Any, back: int) -> Cut:
    last = len(model.stages) - 1
    at = _reached(last, back)

    def below(images: torch.Tensor, face: torch.Tensor | None) -> torch.Tensor:
        if not back:
            return model.features(images, face)
        x = model.stem(images)
        for stage in model.stages[: at + 1]:
            x = stage(x, face)
        return x

    def onward(x: torch.Tensor, face: torch.Tensor | None) -> torch.Tensor:
        for stage in model.stages[at + 1 :]:
            x = stage(x, face)
        return x

    return Cut(f"stages.{at}", below, onward, model.classify)


def _timm(model: Any, back: int) -> Cut:
    if getattr(model, "num_prefix_tokens", None) is not None:
        raise ValueError(
            f"{type(model).__name__} has tokens and no feature maps: what its head reads is one "
            "token, and concepts of it lie nowhere. Explain a network with maps."
        )
    stages = list(model.feature_info)
    at = _reached(len(stages) - 1, back)
    info = stages[at]
    layer = model.get_submodule(info["module"])

    def whole(images: torch.Tensor, face: torch.Tensor | None) -> torch.Tensor:
        if face is not None:
            raise ValueError("this network has no face branch, and a face was given")
        return _map(model.forward_features(images))

    if not back:
        return Cut(info["module"], whole, lambda x, _face: x, model.forward_head)

    def below(images: torch.Tensor, face: torch.Tensor | None) -> torch.Tensor:
        kept: list[torch.Tensor] = []
        # What follows may work in place, and must not on what was kept.
        with _hook(layer, lambda _m, _i, output: kept.append(output.clone())):
            whole(images, face)
        return _map(kept[0])

    def onward(x: torch.Tensor, face: torch.Tensor | None) -> torch.Tensor:
        # What comes before the layer runs on nothing, and its output is put aside.
        side = [n * info["reduction"] for n in x.shape[2:]]
        channels = next(p for p in model.parameters() if p.ndim == 4).shape[1]
        with _hook(layer, lambda _m, _i, _output: x.clone()):
            return whole(x.new_zeros(len(x), channels, *side), face)

    return Cut(info["module"], below, onward, model.forward_head)


@contextmanager
def _hook(layer: nn.Module, hook: Callable[..., Any]) -> Iterator[None]:
    handle = layer.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


def _reached(last: int, back: int) -> int:
    if back > last:
        raise ValueError(f"back={back}: this model has {last + 1} stages")
    return last - back


def _map(x: torch.Tensor) -> torch.Tensor:
    if x.ndim != 4:
        raise ValueError(f"the cut gives {[*x.shape]} and no maps [B, C, h, w]")
    return x
