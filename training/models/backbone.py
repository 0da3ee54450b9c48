"""A timm backbone for one grey channel, or for colour, and a logit for each class.

ImageNet weights are adapted to one channel by summing the first convolution over RGB (timm's
``adapt_input_conv``), hence grey inputs are normalised by one mean and one standard deviation.
Weights come from a tag (timm downloads them), from a local .safetensors with its SHA-256, or there
are none, and then the caller said so: ``pretrained='none'``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import timm
from torch import nn

from data_sharding.schema import sha256_file
from training.config import Model


def build(config: Model, load: bool = True, **other: Any) -> nn.Module:
    """The network: [B, 1, H, W], or [B, 3, H, W] of colour -> logits [B, C].

    Args:
        config: name, where the weights come from, drop path.
        load: False leaves the start random because a checkpoint is loaded right after.
        other: for timm, such as num_classes.

    Raises:
        ValueError: unknown name; weights missing, not of the stated hash, or not to be had.
    """
    arguments: dict = {"in_chans": config.channels, "num_classes": config.classes}
    arguments |= other
    if config.drop_path:  # VGG has none
        arguments["drop_path_rate"] = config.drop_path
    if config.name.startswith("vit_"):
        arguments["dynamic_img_size"] = True  # pictures of any size that its patches divide
    if load and config.pretrained != "none":
        arguments["pretrained"] = True
    if load and config.pretrained not in ("none", "tag"):
        arguments["pretrained_cfg_overlay"] = {"file": str(checked_file(config))}
    try:
        with _loading() as loaded:
            model = timm.create_model(config.name, **arguments)
    except RuntimeError as e:
        if "Unknown model" in str(e) or "Invalid pretrained tag" in str(e):
            near = ", ".join(timm.list_models(f"*{config.name.split('.')[0].split('_')[0]}*")[:6])
            raise ValueError(f"model.name={config.name}: timm has none. Near: {near}") from e
        raise ValueError(f"{config.name}: {config.pretrained} does not fit this model: {e}") from e
    except Exception as e:
        if config.pretrained != "tag":
            raise
        raise ValueError(
            f"{config.name}: the pretrained weights cannot be fetched ({type(e).__name__}). Give a "
            "local file (model.pretrained=/path/to.safetensors model.sha256=...) or state that you "
            "start from scratch (model.pretrained=none)."
        ) from e
    _nothing_random(model, loaded, config)
    return model


@contextmanager
def _loading() -> Iterator[list[Any]]:
    """What `load_state_dict` said of names meanwhile: timm reads with ``strict=False`` where the
    number of classes differs, and then a file that lacks half of a network is no error."""
    said, real = [], nn.Module.load_state_dict

    def noted(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        said.append(real(module, *args, **kwargs))
        return said[-1]

    nn.Module.load_state_dict = noted  # type: ignore[method-assign]
    try:
        yield said
    finally:
        nn.Module.load_state_dict = real


def _nothing_random(model: nn.Module, loaded: list[Any], config: Model) -> None:
    """ValueError where the weights left more than the classifier as it was drawn."""
    classifier = model.pretrained_cfg["classifier"]  # type: ignore[index]
    new = tuple(f"{n}." for n in ([classifier] if isinstance(classifier, str) else classifier))
    left = [name for said in loaded for name in said.missing_keys if not name.startswith(new)]
    if left:
        raise ValueError(
            f"{config.name}: {config.pretrained} lacks {len(left)} of its tensors, such as "
            f"{left[0]}: they would be random. Give the whole file, or model.pretrained=none"
        )


def checked_file(config: Model) -> Path:
    """``model.pretrained`` as a file whose hash is the stated one; ValueError says what is not."""
    path = Path(config.pretrained)
    if path.suffix != ".safetensors":
        raise ValueError(f"model.pretrained={path}: only .safetensors, 'tag' or 'none'")
    if not path.is_file():
        raise ValueError(f"model.pretrained={path}: no such file")
    if config.sha256 is None:
        raise ValueError(f"model.sha256 is required with a weights file; it is {sha256_file(path)}")
    if (found := sha256_file(path)) != config.sha256:
        raise ValueError(f"{path}: SHA-256 is {found}, not {config.sha256}: not the file you meant")
    return path


def cam_layer(model: nn.Module) -> nn.Module:
    """The last convolutional stage, whose output is [B, C, h, w]: where Grad-CAM looks."""
    return model.get_submodule(model.feature_info[-1]["module"])  # type: ignore[index]
