"""faces.json: what of the faces of a cohort speaks for the answer of a run's model.

Nothing in it is about one person: means over patients, and counts. Groups of fewer than
`Settings.smallest_group` patients are kept back, and those that they could be told from.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from data_sharding.schema import Strict
from eval.estimate import Estimate
from eval.faces.references import Reference
from eval.faces.similarity import Similarity

#: What a value is: exact Shapley of a region, or SHAP of its pixels, added up or on average.
Measure = Literal[
    "Shapley value of the region",
    "pixel SHAP, sum over the region",
    "pixel SHAP, mean per pixel",
]
EXACT, SUM, MEAN = (
    "Shapley value of the region",
    "pixel SHAP, sum over the region",
    "pixel SHAP, mean per pixel",
)
Group = Literal["everybody", "women", "men"]
GROUPS: tuple[Group, ...] = ("everybody", "women", "men")
#: What is explained of somebody: the class that DXA says, or the last class, whoever it is.
OWN = "own class"


class Settings(Strict):
    """How to look. Time grows with `each` x `people` x 64 evaluations of the model."""

    each: int = Field(default=40, ge=1, description="pictures of each class, drawn")
    people: int = Field(default=4, ge=1, description="of whom the reference is made")
    reference: Reference = "people"
    score: Literal["log odds", "logit"] = "log odds"
    pixels: bool = Field(default=True, description="SHAP of pixels too")
    samples: int = Field(default=100, ge=1, description="gradients of a picture")
    networks: int = Field(default=2, ge=1, description="with random weights, held against")
    checked: int = Field(default=24, ge=1, description="pictures that they are asked about")
    permutations: int = Field(default=2000, ge=1, description="of classes between patients")
    draws: int = Field(default=1000, ge=1, description="resamples of patients")
    smallest_group: int = Field(default=5, ge=1, description="patients; fewer are kept back")
    seed: int = 0


class Value(Strict):
    """Of one region, or the background: mean over patients with its interval, SD of patients."""

    player: str
    mean: Estimate
    sd: float | None


class OfClass(Strict):
    """Patients of a class; None and () where they are kept back."""

    name: str
    pictures: int | None
    patients: int | None
    values: tuple[Value, ...]


class Table(Strict):
    """`explained` is `OWN`, or the name of the class explained of everybody."""

    explained: str
    measure: Measure
    group: Group
    classes: tuple[OfClass, ...]


class First(Strict):
    """How often a region speaks most for the class, in patients whom the model answers rightly."""

    region: str
    share: Estimate


class Leading(Strict):
    """Of one class: `none` counts patients with no region that speaks for the class."""

    name: str
    patients: int | None
    none: int | None
    regions: tuple[First, ...]


class Sanity(Strict):
    """The same with random weights.

    - same: share of patients whose first region is the first under random weights too, over
      networks; `passed` where its interval lies below `limit`, failed where it does not itself, and
      None in between.
    - cosine: between the five values with the weights learnt and with random ones.
    """

    pictures: int
    networks: int
    same: Estimate
    cosine: Estimate
    limit: float
    passed: bool | None


class Alikeness(Strict):
    """Table 7: how alike explanations are, of one group."""

    explained: str
    group: Group
    found: Similarity | None
    undefined: str | None = None


class Additivity(Strict):
    """Largest distance of a picture's values from f(x) - f(reference), in the score's unit.

    That of pixels is not zero by design: largest, and mean. `range` is the mean of |f(x) - f(r)|.
    """

    regions: float
    pixels: float | None
    pixels_mean: float | None
    range: float


class Faces(Strict):
    """The content of faces.json. `shown` says whether faces are on the page, and else why not."""

    format: Literal["osteoray-faces/1"] = "osteoray-faces/1"
    run: str
    model: str
    weights_sha256: str
    cohort: str
    classes: tuple[str, ...]
    regions: tuple[str, ...]
    settings: Settings
    references: str
    embedding: bool
    size: int
    pictures: int
    patients: int
    accuracy: float
    additivity: Additivity
    tables: tuple[Table, ...]
    leading: tuple[Leading, ...]
    sanity: Sanity
    alikeness: tuple[Alikeness, ...]
    no_pixels: str | None
    not_shown: str | None
    notes: tuple[str, ...]
