"""The sizes of the grid model of Li et al. 2026, and what they are called on the command line.

The paper (doi 10.13929/j.issn.1003-3289.2026.03.017, section 1.3) gives the grid, the tile's size,
ResNet-18, 512 numbers a tile, six layers, the heads and their two losses. Not given, and decided
here: attention heads, the MLPs' widths, GELU, dropout, what a local head reads, the local target
(the image's label, for every tile) and the local loss's weight.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from training.section import Section


class Grid(Section):
    """Sizes of the network, and how its local heads learn."""

    grid: int = Field(default=6, ge=1, description="rows and columns of tiles")
    tile: int = Field(default=256, ge=32, description="pixels of a side that each is resized to")
    width: int = Field(
        default=512, ge=8, multiple_of=8, description="numbers a tile: ResNet-18's last channels"
    )
    depth: int = Field(default=6, ge=1, description="encoder layers")
    heads: int = Field(default=8, ge=1)
    mlp: int = Field(default=2048, ge=1, description="hidden width of an encoder layer's MLP")
    hidden: int = Field(default=128, ge=1, description="hidden width of the global and local heads")
    dropout: float = Field(default=0.1, ge=0, lt=1)
    local_input: Literal["tile", "token"] = Field(
        default="tile",
        description="a local head reads its tile's ResNet features, or its token after the encoder",
    )
    local_loss: Literal["tile", "mean"] = Field(
        default="tile",
        description="mean of the tiles' losses, or the loss of their mean logit (MIL)",
    )
    local_weight: float = Field(default=0.5, ge=0, description="of the local loss")
    local_ramp_epochs: float = Field(
        default=0.0, ge=0, description="epochs over which that weight grows"
    )

    @model_validator(mode="after")
    def _divides(self) -> Grid:
        if self.width % self.heads:
            raise ValueError(
                f"width {self.width} does not divide into {self.heads} heads: choose a divisor"
            )
        return self

    @property
    def tiles(self) -> int:
        """How many there are."""
        return self.grid**2


#: The network's name in ``model.name``; its sizes are in ``model.grid``.
GRID = "grid_transformer"
