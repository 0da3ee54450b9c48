"""Face2Bone: residual and frequency-sparse stages, told by a frozen FaceNet where a face matters.

    config = Face2BoneConfig(face="/weights/vggface2.safetensors", face_sha256="...")
    logits_BC = Face2Bone(config)(picture_B3HW, crop_B3hw)

Liang et al., "Face2Bone explainable AI model predicts osteoporosis risk from facial images in proof
of concept study", Methods, "Development of the models". Three classes: normal, osteopenia,
osteoporosis. Open in the paper, decided here (the blocks' own decisions are in their files):

- stem, widths and depths of Layer1-4 ("integrating residual layers"): those of ResNet-18,
  64/128/256/512 channels at 56/28/14/7 for a picture of 224, then one FSA block a stage;
- heads: 1, 2, 4, 8 of the channel attention (DRSformer) and of SSAM; 2, 4, 8, 16 of HiLo, 32
  channels each as in its paper, since one head cannot be shared by high and low;
- SSAM stands after every stage, and what it makes goes on to the next;
- FaceNet is frozen, in eval mode (its batch norms too), gives 512 numbers, and sees the crop
  before the ellipse is masked (`inception_resnet_v1.standardise`), or was run beforehand;
- the head: mean over places, LayerNorm (a KAN's splines end at 2.2), one KAN layer;
- without FSA the residual stages remain, without SSAM the stages run on and FaceNet is left out,
  without KAN the head is linear or has one hidden layer (the paper calls it both); without a face
  branch but with SSAM one learnt key serves every face.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
from pydantic import Field, PositiveInt, field_validator, model_validator
from timm.models.resnet import BasicBlock, downsample_conv
from torch import nn

from training.config import Section
from training.models.frequency_attention import FRACTIONS, FSABlock, kept, low_heads
from training.models.inception_resnet_v1 import EMBEDDING, InceptionResnetV1, load_facenet
from training.models.kan import kan
from training.models.spatial_supervision import SpatialSupervision

# Shapes: B pictures, H x W pixels, h x w those of a face's crop or of a feature map, C channels.
STAGES = 4
Four = tuple[int, int, int, int]


class Face2BoneConfig(Section):
    """The network. Each choice that the paper leaves open is a setting; see the module."""

    face: str = Field(
        description="FaceNet's weights, a local .safetensors; 'none': there is no face branch"
    )
    face_sha256: str | None = Field(default=None, description="required with a path")
    classes: int = Field(default=3, ge=2)
    widths: Four = (64, 128, 256, 512)
    depths: Four = Field(default=(2, 2, 2, 2), description="residual blocks of each stage")
    heads: Four = Field(default=(1, 2, 4, 8), description="of channel attention and SSAM")
    hilo_heads: Four = (2, 4, 8, 16)
    fractions: tuple[str, ...] = Field(
        default=FRACTIONS, description="of a head's channels that are attended to"
    )
    window: int = Field(default=2, description="side of HiLo's windows")
    alpha: float = Field(default=0.5, description="share of HiLo's heads for low frequencies")
    expansion: float = Field(default=2.66, gt=0, description="of the FSA blocks' FFN")
    fsa: bool = True
    ssam: Literal["softmax", "sigmoid", "none"] = "softmax"
    head: Literal["kan", "linear", "mlp"] = "kan"
    kan_hidden: tuple[PositiveInt, ...] = Field(
        default=(), description="hidden layers of a KAN head"
    )
    mlp_hidden: int = Field(default=64, ge=1, description="the hidden layer of an MLP head")
    intervals: int = Field(default=5, ge=1, description="of a KAN's grid")
    order: int = Field(default=3, ge=0, description="of a KAN's splines")

    @field_validator("face")
    @classmethod
    def _absolute(cls, value: str) -> str:
        # Ray workers have another working directory.
        return value if value == "none" else str(Path(value).absolute())

    @model_validator(mode="after")
    def _fits(self) -> Face2BoneConfig:
        if self.ssam == "none" and self.face != "none":
            raise ValueError(
                "without SSAM nothing reads FaceNet's embedding: with ssam=none set face=none"
            )
        if self.face == "none" and self.face_sha256:
            raise ValueError("face_sha256 is of a file, and face=none names none")
        for width, heads, hilo_heads in zip(self.widths, self.heads, self.hilo_heads, strict=True):
            if min(width, heads, hilo_heads) < 1 or width % heads or width % hilo_heads:
                raise ValueError(
                    f"a stage of {width} channels cannot be shared by {heads} heads and "
                    f"{hilo_heads} HiLo heads"
                )
            kept(width // heads, self.fractions)
            low_heads(hilo_heads, self.window, self.alpha)
        if min(self.depths) < 1:
            raise ValueError(f"depths {self.depths}: each stage has at least one residual block")
        return self


class Stage(nn.Module):
    """Residual blocks, FSA, SSAM: [B, C, h, w], embedding -> [B, C', h / stride, w / stride]."""

    def __init__(self, config: Face2BoneConfig, at: int) -> None:
        super().__init__()
        width, heads = config.widths[at], config.heads[at]
        before, stride = (config.widths[at - 1], 2) if at else (config.widths[0], 1)
        shrink = downsample_conv(before, width, 1, stride) if at else None
        self.residual = nn.Sequential(
            BasicBlock(before, width, stride, shrink),
            *(BasicBlock(width, width) for _ in range(config.depths[at] - 1)),
        )
        self.fsa: nn.Module = nn.Identity()
        if config.fsa:
            self.fsa = FSABlock(
                width,
                heads,
                config.hilo_heads[at],
                config.fractions,
                config.window,
                config.alpha,
                config.expansion,
            )
        self.ssam = None
        if config.ssam != "none":
            embedding = 0 if config.face == "none" else EMBEDDING
            self.ssam = SpatialSupervision(width, heads, embedding, config.ssam)

    def forward(
        self, x_BChw: torch.Tensor, embedding_BE: torch.Tensor | None = None
    ) -> torch.Tensor:
        """[B, C, h, w], [B, 512] or None -> [B, C', h', w']."""
        x_BChw = self.fsa(self.residual(x_BChw))
        return x_BChw if self.ssam is None else self.ssam(x_BChw, embedding_BE)


def _head(config: Face2BoneConfig) -> nn.Module:
    width, classes = config.widths[-1], config.classes
    if config.head == "kan":
        return kan((width, *config.kan_hidden, classes), config.intervals, config.order)
    if config.head == "linear":
        return nn.Linear(width, classes)
    hidden = config.mlp_hidden
    return nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, classes))


def _frozen_facenet(config: Face2BoneConfig, load: bool) -> InceptionResnetV1 | None:
    if config.face == "none":
        return None
    if load:
        facenet = load_facenet(Path(config.face), config.face_sha256)
    else:
        facenet = InceptionResnetV1()
    return facenet.requires_grad_(False).eval()


class Face2Bone(nn.Module):
    """A picture [B, 3, H, W] and its crop for FaceNet -> logits [B, classes]."""

    def __init__(self, config: Face2BoneConfig, load: bool = True) -> None:
        """`load` False leaves FaceNet random because a checkpoint is loaded right after.

        Raises:
            ValueError: FaceNet's weights are missing, not of the stated hash, or not FaceNet's.
        """
        super().__init__()
        first, last = config.widths[0], config.widths[-1]
        self.stem = nn.Sequential(
            nn.Conv2d(3, first, 7, 2, 3, bias=False),
            nn.BatchNorm2d(first),
            nn.ReLU(),
            nn.MaxPool2d(3, 2, 1),
        )
        self.stages = nn.ModuleList(Stage(config, at) for at in range(STAGES))
        self.norm = nn.LayerNorm(last)
        self.head = _head(config)
        self.facenet = _frozen_facenet(config, load)
        #: where `training.models.cam_layer` looks
        self.feature_info = [{"module": f"stages.{STAGES - 1}", "num_chs": last}]

    def train(self, mode: bool = True) -> Face2Bone:
        """As any module, but FaceNet stays as it is: its batch norms are frozen too."""
        super().train(mode)
        if self.facenet is not None:
            self.facenet.eval()
        return self

    def embed(self, face_B3hw: torch.Tensor) -> torch.Tensor:
        """FaceNet's embeddings [B, 512] of standardised crops; may be kept and given instead.

        They hold on to nothing, for no weight of FaceNet's learns, unless the crop itself asks for
        its gradient, as an explanation does.
        """
        assert self.facenet is not None, "a face branch"
        return self.facenet(face_B3hw)

    def features(
        self, picture_B3HW: torch.Tensor, face: torch.Tensor | None = None
    ) -> torch.Tensor:
        """The last stage's map, [B, C, H / 32, W / 32], signed.

        Args:
            picture_B3HW: normalised pictures.
            face: standardised crops [B, 3, h, w], or their embeddings [B, 512]; None where there
                is no face branch.

        Raises:
            ValueError: a face is given and there is no branch for it, or none is and there is.
        """
        if (face is None) != (self.facenet is None):
            has = "no face branch" if self.facenet is None else "a face branch"
            raise ValueError(
                f"this network has {has}, and {'no' if face is None else 'a'} face was given"
            )
        if face is not None and face.ndim == 4:
            face = self.embed(face)
        x_BChw = self.stem(picture_B3HW)
        for stage in self.stages:
            x_BChw = stage(x_BChw, face)
        return x_BChw

    def classify(self, map_BChw: torch.Tensor) -> torch.Tensor:
        """The last stage's map -> logits [B, classes]: mean over places, norm, head."""
        return self.head(self.norm(map_BChw.mean((2, 3))))

    def forward(self, picture_B3HW: torch.Tensor, face: torch.Tensor | None = None) -> torch.Tensor:
        """Logits [B, classes]; see `features` for what goes in."""
        return self.classify(self.features(picture_B3HW, face))
