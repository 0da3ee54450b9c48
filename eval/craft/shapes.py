"""What CRAFT found, as JSON holds it: settings, classes, concepts, children, divergences."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from data_sharding.schema import Strict
from eval.craft.divergence import Divergence
from eval.craft.sobol import LEAST
from eval.estimate import Estimate


class Settings(Strict):
    """How to look. Times grow with `pictures`, `children` and `judged` most."""

    concepts: int = Field(default=10, ge=2, description="of each class; NMF's rank")
    pictures: int = Field(default=32, ge=2, description="of each class, drawn")
    points: int = Field(default=1024, ge=LEAST, description="of each Sobol design")
    repeats: int = Field(default=5, ge=2, description="factorisations that stability is read of")
    best: int = Field(default=6, ge=1, description="crops shown of a concept")
    recursed: int = Field(default=1, ge=0, description="ambiguous concepts taken apart, a class")
    children: int = Field(default=5, ge=2, description="concepts at the earlier stage")
    judged: int = Field(default=2, ge=1, description="crops of which children's indices are taken")
    back: int = Field(default=1, ge=1, description="stages from the last map to the earlier one")
    draws: int = Field(default=1000, ge=100, description="resamples of patients, permutations")
    batch: int = Field(default=32, ge=1, description="pictures or crops at once")
    seed: int = 0


class Place(Strict):
    """A crop: `key` of the sample, its corner and side in the model's input, and how much of the
    concept it holds.
    """

    key: str
    left: int
    top: int
    side: int
    amount: float


class Child(Strict):
    """A part of a concept at the earlier stage; `index` is its total Sobol index for the parent,
    None where the parent did not move.
    """

    name: str
    index: float | None
    best: tuple[Place, ...]


class Share(Strict):
    """Of one region of the face: `share` of the concept, and `area` of the face."""

    region: str
    share: float
    area: float


class Concept(Strict):
    """One concept of a class; the first is the most important.

    - importance: mean total Sobol index over pictures, for the class's log odds.
    - restarts, people, cosine: see `stability`.
    - purity: of its best crops, the share of all concepts' amounts that is its own.
    - ambiguous: why it was taken for that; () where it was not.
    - where: regions, first what has most for its size; () without regions.
    - best: the crops that hold most, one a picture; () where faces may not be shown.
    - children: () where it was not taken apart.
    """

    name: str
    importance: Estimate
    restarts: float
    people: float
    cosine: float
    stable: bool
    purity: float
    ambiguous: tuple[str, ...]
    where: tuple[Share, ...]
    best: tuple[Place, ...]
    children: tuple[Child, ...]


class OfClass(Strict):
    """The concepts of pictures that were called `name`; or `undefined`, why there are none.

    - pictures, patients: looked at, of `called` pictures that were called so.
    - crops, outside: taken, and left out because they lie mostly outside the face.
    - removed: share of the crops' squared activations that was negative: no concept holds it.
    - explained: 1 - squared error of the factorisation over the squared activations of crops.
    - carried: the same of whole pictures' maps, place by place, with the concepts of the crops.
    - kept: share of pictures that are called the same when their map is put together from concepts.
    - still: pictures whose answer no concept moves; they have no importance.
    """

    name: str
    called: int
    pictures: int = 0
    patients: int = 0
    crops: int = 0
    outside: int = 0
    removed: float = 0.0
    explained: float = 0.0
    carried: float = 0.0
    converged: bool = True
    kept: float = 0.0
    still: int = 0
    concepts: tuple[Concept, ...] = ()
    undefined: str | None = None


class Craft(Strict):
    """Everything, as craft.json holds it. `layer` holds the concepts, `earlier` their children."""

    format: Literal["osteoray-craft/1"] = "osteoray-craft/1"
    layer: str
    earlier: str
    settings: Settings
    classes: tuple[OfClass, ...]
    divergences: tuple[Divergence, ...]
    #: Places of the maps that were compared, a side; the divergence depends on it.
    side: int
    undefined: str | None = None
