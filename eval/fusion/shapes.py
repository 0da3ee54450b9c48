"""fusion.json: face, CXR and clinical scores of the same patients, each alone and together."""

from __future__ import annotations

from typing import Literal

from data_sharding.schema import Strict
from eval.classes.shapes import Part
from eval.classes.single_shapes import BodyFacts
from eval.estimate import Estimate

Event = Literal["low bone mass or osteoporosis", "osteoporosis"]


class Met(Strict):
    """Patients of one role, by what is known of them.

    - both: have a face, a radiograph and a label; all that follows is of others.
    - only_face, only_cxr: of them the other run says nothing, in no role.
    - learnt_from_by_cxr, learnt_from_by_face: of those, whom that run learnt from as far as its
      dataset can be read.
    - other_role: in the other run tuning where here they are to be judged, or the reverse.
    - unlabelled: in both, and neither says what they have; disagree: the two say different things.
    """

    role: Literal["fitted", "judged"]
    both: int
    only_face: int
    only_cxr: int
    learnt_from_by_cxr: int
    learnt_from_by_face: int
    other_role: int
    unlabelled: int
    disagree: int


class Fitted(Strict):
    """log odds = intercept + sum of coefficient x log odds of each score, as it was stated."""

    name: str
    intercept: float
    coefficients: dict[str, float]


class Scored(Strict):
    """One score on a cohort; `slope` and `in_the_large` say how it is calibrated there."""

    name: str
    auroc: Estimate
    brier: Estimate
    slope: Estimate
    in_the_large: Estimate


class Gain(Strict):
    """AUROC of `first` less that of `second`, paired; p_holm is corrected for the cohort's."""

    first: str
    second: str
    difference: Estimate
    p: float | None
    p_holm: float | None


class Judged(Strict):
    """One cohort of the face run, as far as its patients have everything; one row a patient."""

    cohort: str
    n: int
    positives: int
    scores: tuple[Scored, ...]
    gains: tuple[Gain, ...]


class Fusion(Strict):
    """The content of fusion.json.

    `fitted_on`: patients, and those of them with the event. `clinical` is None where `no_clinical`
    says why. `mixed`: fitted on patients who are tuning in one run and test in the other, too.
    """

    format: Literal["osteoray-fusion/1"] = "osteoray-fusion/1"
    event: Event
    confidence: float
    mixed: bool
    face: Part
    cxr: Part
    clinical: BodyFacts | None
    no_clinical: str
    met: tuple[Met, Met]
    fitted_on: tuple[int, int]
    fitted: tuple[Fitted, ...]
    cohorts: tuple[Judged, ...]
    notes: tuple[str, ...]
