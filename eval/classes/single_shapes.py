"""classes.json: what one model of three classes is worth, on pictures and on people."""

from __future__ import annotations

from typing import Literal

from data_sharding.schema import Strict
from eval.classes.shapes import NAMES, Judged, Part
from eval.estimate import Estimate
from eval.reliability import Bin

Unit = Literal["pictures", "people"]


class Fit(Strict):
    """A Hosmer-Lemeshow test; None where `undefined` says why."""

    chi2: float | None = None
    df: int | None = None
    p: float | None = None
    undefined: str | None = None


class CalibratedClass(Strict):
    """One class against the others, of `n` rows that are of it."""

    name: str
    n: int
    mean_predicted: float
    ece: float
    brier: float
    fit: Fit
    bins: tuple[Bin, ...]


class Calibrated(Strict):
    """Whether stated probabilities hold.

    - ece_top_label: of the most probable class, 10 bins; `ece_if_right` is what its mean would be
      on as many rows if every stated probability were true, for few rows alone make some.
    - fit: Hosmer-Lemeshow over all three classes at once, its p by drawing classes.
    """

    ece_top_label: float
    ece_if_right: float
    fit: Fit
    classes: tuple[CalibratedClass, ...]


class Sides(Strict):
    """The picture's answers and those of age, sex and BMI alone, on the same rows.

    `brier` is summed over the classes, in 0 to 2. `difference`: statistic -> picture less body,
    resampled together. `body` is None where there is no such model.
    """

    unit: Unit
    picture: Judged
    brier: Estimate
    body: Judged | None
    body_brier: Estimate | None
    difference: dict[str, Estimate]


class Group(Strict):
    """Everybody, or those of one sex; of a group kept back nothing but its name.

    - main: on people where somebody has several pictures, else on pictures.
    - pictures: on pictures, where main is not.
    - calibration: on what `main` is on.
    """

    name: str
    kept_back: bool
    pictures_n: int | None
    people_n: int | None
    main: Sides | None
    pictures: Sides | None
    calibration: Calibrated | None


class OneCohort(Strict):
    """`groups`: everybody first, then the sexes. `not_by_people`: why people are not judged."""

    cohort: str
    left_out: int
    groups: tuple[Group, ...]
    not_by_people: str


class BodyFacts(Strict):
    """The model of age, sex and BMI: what it reads, and whom it was fitted to."""

    used: tuple[str, ...]
    left_out: dict[str, str]
    people: int
    where: str


class OneRun(Strict):
    """The content of classes.json; `no_body` says why `body` is None."""

    format: Literal["osteoray-one-run/1"] = "osteoray-one-run/1"
    classes: tuple[str, ...] = NAMES
    confidence: float
    draws: int
    seed: int
    part: Part
    body: BodyFacts | None
    no_body: str
    cohorts: tuple[OneCohort, ...]
