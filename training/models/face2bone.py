"""Face2Bone: residual and frequency-sparse stages, told by a frozen FaceNet where a face matters.

    logits_BC = Face2Bone(Face(facenet="/weights/vggface2.safetensors"))(picture_B3HW, embedding)

Liang et al., "Face2Bone explainable AI model predicts osteoporosis risk from facial images in proof
of concept study", Methods, "Development of the models". Three classes: normal, osteopenia,
osteoporosis. Open in the paper, decided here (the blocks' own decisions are in their files):

- stem, widths and depths of Layer1-4 ("integrating residual layers"): those of ResNet-18,
  64/128/256/512 channels at 56/28/14/7 for a picture of 224, then one FSA block a stage;
- heads: 1, 2, 4, 8 of the channel attention (DRSformer) and of SSAM; 2, 4, 8, 16 of HiLo, 32
  channels each as in its paper, since one head cannot be shared by high and low;
- SSAM stands after every stage, and what it makes goes on to the next;
- FaceNet is frozen, in eval mode (its batch norms too), and sees the crop before the ellipse is
  masked; its 512 numbers are made once, beforehand (`training.embeddings`), and given with the
  picture, so that no checkpoint holds FaceNet;
- the head: mean over places, LayerNorm (a KAN's splines end at 2.2), one KAN layer;
- without FSA the residual stages remain, without SSAM the stages run on and FaceNet is left out,
  without KAN the head is linear or has one hidden layer (the paper calls it both); without a face
  branch but with SSAM one learnt key serves every face.
"""

from __future__ import annotations

import torch
from timm.models.resnet import BasicBlock, downsample_conv
from torch import nn

from training.face import EMBEDDING, Face
from training.models.frequency_attention import FSABlock
from training.models.kan import kan
from training.models.spatial_supervision import SpatialSupervision

# Shapes: B pictures, H x W pixels, h x w places of a feature map, C channels.
STAGES = 4


class Stage(nn.Module):
    """Residual blocks, FSA, SSAM: [B, C, h, w], embedding -> [B, C', h / stride, w / stride]."""

    def __init__(self, config: Face, at: int) -> None:
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
            embedding = EMBEDDING if config.embedded else 0
            self.ssam = SpatialSupervision(width, heads, embedding, config.ssam)

    def forward(
        self, x_BChw: torch.Tensor, embedding_BE: torch.Tensor | None = None
    ) -> torch.Tensor:
        """[B, C, h, w], [B, 512] or None -> [B, C', h', w']."""
        x_BChw = self.fsa(self.residual(x_BChw))
        return x_BChw if self.ssam is None else self.ssam(x_BChw, embedding_BE)


def _head(config: Face, classes: int) -> nn.Module:
    width = config.widths[-1]
    if config.head == "kan":
        return kan((width, *config.kan_hidden, classes), config.intervals, config.order)
    if config.head == "linear":
        return nn.Linear(width, classes)
    hidden = config.mlp_hidden
    return nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, classes))


class Face2Bone(nn.Module):
    """A picture [B, 3, H, W], and FaceNet's embedding of the face -> logits [B, classes]."""

    def __init__(self, config: Face, classes: int = 3) -> None:
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
        self.head = _head(config, classes)
        #: whether an embedding goes in beside the picture
        self.embedded = config.embedded
        #: where `training.models.cam_layer` looks
        self.feature_info = [{"module": f"stages.{STAGES - 1}", "num_chs": last}]

    def features(
        self, picture_B3HW: torch.Tensor, embedding_BE: torch.Tensor | None = None
    ) -> torch.Tensor:
        """The last stage's map, [B, C, H / 32, W / 32], signed.

        Args:
            picture_B3HW: normalised pictures.
            embedding_BE: FaceNet's, [B, 512]; None where there is no face branch.

        Raises:
            ValueError: an embedding is given and there is no branch for it, or the reverse.
        """
        if (embedding_BE is None) == self.embedded:
            has, given = ("a", "no") if self.embedded else ("no", "an")
            raise ValueError(f"this network has {has} face branch, and {given} embedding was given")
        x_BChw = self.stem(picture_B3HW)
        for stage in self.stages:
            x_BChw = stage(x_BChw, embedding_BE)
        return x_BChw

    def classify(self, map_BChw: torch.Tensor) -> torch.Tensor:
        """The last stage's map -> logits [B, classes]: mean over places, norm, head."""
        return self.head(self.norm(map_BChw.mean((2, 3))))

    def forward(
        self, picture_B3HW: torch.Tensor, embedding_BE: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Logits [B, classes]; see `features` for what goes in."""
        return self.classify(self.features(picture_B3HW, embedding_BE))
