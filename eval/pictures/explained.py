"""RUN/report/attention.json: what a model looks at, and whether its maps are of the model at all.

Written by `explain.attention_of`, read by the report; neither torch nor pixels are needed to read
it.
"""

from __future__ import annotations

from typing import Literal

from data_sharding.schema import Strict
from eval.estimate import Estimate
from eval.pictures.attention import RegionAttention

#: Largest mean size of a rank correlation that a map may keep once all weights are random.
LIMIT = 0.5
RULE = (
    "with all weights random, the mean size of the rank correlation with the model's own maps "
    f"has a 95% interval below {LIMIT}"
)
UNKNOWN = "the anatomy of these pictures is not known"


class Stage(Strict):
    """Maps compared with the model's own once the weights from the top down to `block` are random.

    `rank` is Spearman's correlation, `size` its absolute value; `incomparable` counts pictures that
    have no evidence before or after, which have no ranks.
    """

    block: str
    rank: Estimate
    size: Estimate
    ssim: Estimate
    incomparable: int


class Sanity(Strict):
    """Stages from the top of the network down, the last with all of it random.

    `passed` is None where it cannot be told, and `undefined` says why.
    """

    stages: tuple[Stage, ...]
    pictures: int
    networks: int
    rule: str = RULE
    passed: bool | None
    undefined: str | None = None


class Looked(Strict):
    """The maps for one answer of the model in one cohort; `zero_maps` had no positive evidence."""

    cohort: str
    answer: str
    pictures: int
    patients: int
    zero_maps: int
    regions: tuple[RegionAttention, ...]


class Explained(Strict):
    """The content of attention.json. `undefined` says why nothing is in `looked`."""

    format: Literal["osteoray-attention/1"] = "osteoray-attention/1"
    stamp: str
    world_sha256: str | None
    model: str
    method: str
    looked: tuple[Looked, ...]
    undefined: str | None
    sanity: Sanity
