"""InceptionResnetV1, the FaceNet whose published weights have 714 names: a face -> 512 numbers.

Szegedy et al. 2016 (arXiv 1602.07261), section 3 and figures 8-13, trained for faces as FaceNet
(Schroff et al. 2015, arXiv 1503.03832) and published for torch by facenet-pytorch (MIT), whose
layer names, batch-norm epsilon and residual scales are kept here, so that its weights fit by name.
Face2Bone's text says 128 dimensions; the published network has 512.

Weights are never fetched and never random unless that was asked for: `load_facenet` takes a local
.safetensors, or the .pt as published, and its SHA-256.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F

from data_sharding.schema import sha256_file
from training.face import EMBEDDING

# Shapes: B faces of h x w pixels, C channels, E = 512 numbers of the embedding.
#: The side of the crops that the published weights were trained on; others of 75 and more run.
SIDE = 160

#: One convolution: channels out, kernel (a side or (height, width)), stride, pads to keep the size.
Spec = tuple[int, int | tuple[int, int], int, bool]


class Convolution(nn.Module):
    """Conv -> BatchNorm (epsilon 0.001) -> ReLU."""

    def __init__(self, channels: int, spec: Spec) -> None:
        super().__init__()
        out, kernel, stride, same = spec
        height, width = kernel if isinstance(kernel, tuple) else (kernel, kernel)
        padding = (height // 2, width // 2) if same else 0
        self.conv = nn.Conv2d(channels, out, (height, width), stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(out, eps=0.001)

    def forward(self, x_BChw: torch.Tensor) -> torch.Tensor:
        """[B, C, h, w] -> [B, C', h', w']."""
        return F.relu(self.bn(self.conv(x_BChw)))


def _chain(channels: int, *specs: Spec) -> nn.Module:
    each = []
    for spec in specs:
        each.append(Convolution(channels, spec))
        channels = spec[0]
    return each[0] if len(each) == 1 else nn.Sequential(*each)


class Branches(nn.Module):
    """Chains of convolutions side by side, concatenated: branch0, branch1, ..."""

    def __init__(self, channels: int, *chains: tuple[Spec, ...], pool: bool = False) -> None:
        """`pool`: a max-pool 3x3/2 of the input is the last branch (it has no weights)."""
        super().__init__()
        for i, specs in enumerate(chains):
            self.add_module(f"branch{i}", _chain(channels, *specs))
        if pool:
            self.add_module(f"branch{len(chains)}", nn.MaxPool2d(3, 2))

    def forward(self, x_BChw: torch.Tensor) -> torch.Tensor:
        """[B, C, h, w] -> [B, sum of the branches' channels, h', w']."""
        return torch.cat([branch(x_BChw) for branch in self.children()], 1)


class Residual(nn.Module):
    """relu(X + scale * Conv1x1(branches of X)), the last one of all without the relu."""

    def __init__(
        self, channels: int, scale: float, *chains: tuple[Spec, ...], relu: bool = True
    ) -> None:
        super().__init__()
        for i, specs in enumerate(chains):
            self.add_module(f"branch{i}", _chain(channels, *specs))
        self.branches = len(chains)
        self.conv2d = nn.Conv2d(sum(specs[-1][0] for specs in chains), channels, 1)
        self.scale, self.relu = scale, relu

    def forward(self, x_BChw: torch.Tensor) -> torch.Tensor:
        """[B, C, h, w] -> the same."""
        each = [self.get_submodule(f"branch{i}")(x_BChw) for i in range(self.branches)]
        out = torch.add(x_BChw, self.conv2d(torch.cat(each, 1)), alpha=self.scale)
        return F.relu(out) if self.relu else out


def _block35() -> Residual:
    first = (32, 1, 1, True)
    then = (32, 3, 1, True)
    return Residual(256, 0.17, (first,), (first, then), (first, then, then))


def _block17() -> Residual:
    first = (128, 1, 1, True)
    return Residual(896, 0.10, (first,), (first, (128, (1, 7), 1, True), (128, (7, 1), 1, True)))


def _block8(scale: float = 0.20, relu: bool = True) -> Residual:
    first = (192, 1, 1, True)
    chain = (first, (192, (1, 3), 1, True), (192, (3, 1), 1, True))
    return Residual(1792, scale, (first,), chain, relu=relu)


class InceptionResnetV1(nn.Module):
    """A face [B, 3, h, w], as `standardise` makes it -> its embedding [B, 512] of unit length.

    At 160: 79, 77, 77, pool 38, 38, 36, 17 x 17 x 256, 8 x 8 x 896, 3 x 3 x 1792, 512.
    23,482,624 parameters, 714 names in its state. Its start is random: see `load_facenet`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv2d_1a = Convolution(3, (32, 3, 2, False))
        self.conv2d_2a = Convolution(32, (32, 3, 1, False))
        self.conv2d_2b = Convolution(32, (64, 3, 1, True))
        self.maxpool_3a = nn.MaxPool2d(3, 2)
        self.conv2d_3b = Convolution(64, (80, 1, 1, True))
        self.conv2d_4a = Convolution(80, (192, 3, 1, False))
        self.conv2d_4b = Convolution(192, (256, 3, 2, False))
        self.repeat_1 = nn.Sequential(*(_block35() for _ in range(5)))
        self.mixed_6a = Branches(
            256,
            ((384, 3, 2, False),),
            ((192, 1, 1, True), (192, 3, 1, True), (256, 3, 2, False)),
            pool=True,
        )
        self.repeat_2 = nn.Sequential(*(_block17() for _ in range(10)))
        self.mixed_7a = Branches(
            896,
            ((256, 1, 1, True), (384, 3, 2, False)),
            ((256, 1, 1, True), (256, 3, 2, False)),
            ((256, 1, 1, True), (256, 3, 1, True), (256, 3, 2, False)),
            pool=True,
        )
        self.repeat_3 = nn.Sequential(*(_block8() for _ in range(5)))
        self.block8 = _block8(scale=1.0, relu=False)
        self.avgpool_1a = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(0.6)
        self.last_linear = nn.Linear(1792, EMBEDDING, bias=False)
        self.last_bn = nn.BatchNorm1d(EMBEDDING, eps=0.001)

    def forward(self, face_B3hw: torch.Tensor) -> torch.Tensor:
        """[B, 3, h, w] -> [B, 512]."""
        # a quarter to a third faster on a CPU
        x = face_B3hw.contiguous(memory_format=torch.channels_last)
        for layer in self.children():
            if layer is self.last_linear:
                x = x.flatten(1)
            x = layer(x)
        return F.normalize(x, dim=1)


def standardise(rgb_B3hw: torch.Tensor, side: int = SIDE) -> torch.Tensor:
    """RGB in 0..255 -> what the published weights expect, [B, 3, side, side] within (-1, 1).

    (x - 127.5) / 128, not ImageNet's mean and deviation; resized bilinearly, with antialiasing.
    """
    x = rgb_B3hw.float()
    if x.shape[-2:] != (side, side):
        x = F.interpolate(x, (side, side), mode="bilinear", align_corners=False, antialias=True)
    return (x - 127.5) / 128


def load_facenet(path: Path, sha256: str | None) -> InceptionResnetV1:
    """The network with weights of a .safetensors or .pt, by facenet-pytorch's names, in eval mode.

    The classifier of the published files (logits.weight, logits.bias) is passed over; every other
    name and shape must be there, and nothing else.

    Raises:
        ValueError: no such file, of another kind, not of the stated hash, or not this network's.
    """
    path = Path(path)
    if path.suffix not in (".safetensors", ".pt", ".pth"):
        raise ValueError(f"{path}: FaceNet's weights must be .safetensors, or a published .pt")
    if not path.is_file():
        raise ValueError(f"{path}: no such file; FaceNet's weights are not fetched for you")
    found = sha256_file(path)
    if sha256 != found:
        wanted = "none was stated" if sha256 is None else f"not {sha256}"
        raise ValueError(f"{path}: SHA-256 is {found}, {wanted}: state that of the file you mean")
    state = _read(path)
    with torch.device("meta"):  # no random start that would be thrown away
        model = InceptionResnetV1()
    _check(path, state, model.state_dict())
    # copied into torch's own memory: where a file's tensors lie decides the last bit of a product
    model = model.to_empty(device="cpu")
    model.load_state_dict({k: v for k, v in state.items() if not k.startswith("logits.")})
    return model.eval()


def _read(path: Path) -> dict[str, torch.Tensor]:
    """A file's tensors by name. Of a .pt only tensors are taken, and no code in it is run."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except SafetensorError as e:
        raise ValueError(f"{path}: not a safetensors file: {e}") from e
    except Exception as e:  # torch's reader raises a dozen kinds on torn and hostile files
        why = str(e).partition("\n")[0][:160]
        raise ValueError(f"{path}: not a file of tensors alone: {why}") from e
    if not isinstance(state, dict) or not all(
        isinstance(k, str) and isinstance(v, torch.Tensor) for k, v in state.items()
    ):
        raise ValueError(f"{path}: not a state dict: tensors by name")
    return dict(state)


def _check(path: Path, found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> None:
    """Refuse weights that are not this network's, in one line."""
    found = {k: v for k, v in found.items() if k not in ("logits.weight", "logits.bias")}
    wrong = [f"{k} is missing" for k in wanted if k not in found]
    wrong += [f"{k} is not of this network" for k in found if k not in wanted]
    for k in wanted.keys() & found.keys():
        if found[k].shape != wanted[k].shape:
            wrong.append(f"{k} is {list(found[k].shape)}, not {list(wanted[k].shape)}")
        elif found[k].dtype != wanted[k].dtype:
            wrong.append(f"{k} is {found[k].dtype}, not {wanted[k].dtype}")
        elif not bool(torch.isfinite(found[k]).all()):
            wrong.append(f"{k} is not finite")
        elif k.endswith("running_var") and bool((found[k] < 0).any()):
            wrong.append(f"{k} is negative")
    if wrong:
        more = f" (and {len(wrong) - 3} more)" if len(wrong) > 3 else ""
        raise ValueError(
            f"{path}: not InceptionResnetV1's weights: {'; '.join(sorted(wrong)[:3])}{more}"
        )
