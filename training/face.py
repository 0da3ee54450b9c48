"""The sizes of Face2Bone's network, and what they are called on the command line.

Liang et al., "Face2Bone explainable AI model predicts osteoporosis risk from facial images in proof
of concept study". The blocks' files say which choice is the paper's and which is ours.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, PositiveInt, field_validator, model_validator

from training.section import Section

#: The network's name in ``model.name``; its sizes are in ``model.face``.
FACE2BONE = "face2bone"
#: Numbers of FaceNet's embedding.
EMBEDDING = 512
Four = tuple[int, int, int, int]


class Face(Section):
    """The network. Each choice that the paper leaves open is a setting."""

    facenet: str | None = Field(
        default=None,
        description="FaceNet's weights, .safetensors or the published .pt; 'none': no face branch",
    )
    facenet_sha256: str | None = Field(default=None, description="required with a path")
    widths: Four = (64, 128, 256, 512)
    depths: Four = Field(default=(2, 2, 2, 2), description="residual blocks of each stage")
    heads: Four = Field(default=(1, 2, 4, 8), description="of channel attention and SSAM")
    hilo_heads: Four = (2, 4, 8, 16)
    fractions: tuple[str, ...] = Field(
        default=("1/2", "2/3", "3/4", "4/5"),
        description="of a head's channels that are attended to",
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

    @property
    def embedded(self) -> bool:
        """Whether the network is given FaceNet's embedding of the face, beside the picture."""
        return self.facenet not in (None, "none")

    @field_validator("facenet")
    @classmethod
    def _absolute(cls, value: str | None) -> str | None:
        # Ray workers have another working directory.
        return value if value in (None, "none") else str(Path(value).absolute())

    @model_validator(mode="after")
    def _fits(self) -> Face:
        from training.models.frequency_attention import kept, low_heads  # which needs torch

        if self.ssam == "none" and self.embedded:
            raise ValueError(
                "without SSAM nothing reads FaceNet's embedding: with ssam=none set facenet=none"
            )
        if not self.embedded and self.facenet_sha256:
            raise ValueError("facenet_sha256 is of a file, and facenet names none")
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
