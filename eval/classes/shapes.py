"""Three classes as three_classes.json holds them: systems, what each is worth, and the tests."""

from __future__ import annotations

from typing import Literal

from data_sharding.schema import Strict
from eval.estimate import Estimate

#: In the order of the categories 0, 1, 2; low bone mass is short of osteoporosis here.
NAMES = ("normal", "low bone mass", "osteoporosis")

Rule = Literal["frozen thresholds", "most probable class", "thresholds chosen on tuning data"]


class Part(Strict):
    """A model that a system is made of.

    - task: what it answers in the system.
    - target: what its run.json says that it learnt; "" where it says nothing.
    - head: how a model of three classes was trained; "" where that is not on file.
    """

    task: Literal["osteoporosis", "low bone mass", "three classes"]
    run: str
    model: str
    recipe: str
    target: str
    head: Literal["", "softmax", "cumulative link"]
    predictions_sha256: dict[str, str]


class System(Strict):
    """Something that names one of three classes: two stages, or one model.

    `thresholds` are those for osteoporosis and, among the rest, for low bone mass; `chosen_on` are
    the cohorts they were chosen on where that was done here.
    """

    letter: str
    name: str
    kind: Literal["two stages", "one model"]
    rule: Rule
    thresholds: tuple[float, float] | None
    chosen_on: tuple[str, ...]
    parts: tuple[Part, ...]


class OfClass(Strict):
    """One class: `n` rows that are of it, `answered` rows that were said to be."""

    name: str
    n: int
    answered: int
    mean_predicted: float | None
    precision: Estimate
    recall: Estimate
    f1: Estimate
    auroc: Estimate


class Errors(Strict):
    """Every wrong answer once, by the decision it was made at.

    - missed: osteoporosis that was not said to be; alarms: said to be osteoporosis, and is not.
      Of two stages both are the first one's.
    - below: normal and low bone mass mistaken for each other; the second stage's.
    - alarms_wrong_below: alarms whom the second stage would have got wrong too; None of one model.
    """

    wrong: int
    missed: int
    alarms: int
    below: int
    alarms_wrong_below: int | None


class Oracle(Strict):
    """What two stages would be worth if one of them knew the truth and the other stayed."""

    perfect: Literal["first", "second"]
    accuracy: Estimate
    balanced_accuracy: Estimate
    f1_macro: Estimate
    kappa_quadratic: Estimate
    rps: Estimate


class Judged(Strict):
    """A system on a cohort; `confusion` has a row for each true class.

    - balanced_accuracy is the macro recall, accuracy the weighted one.
    - rps: ranked probability score over K - 1 = 2, in [0, 1], 0 is best (Epstein 1969).
    - c_ordinal: mean AUROC over pairs of classes, ranked by the expected class.
    - ece_top_label: of the most probable class, whatever the rule.
    """

    system: str
    confusion: tuple[tuple[int, int, int], ...]
    accuracy: Estimate
    balanced_accuracy: Estimate
    precision_macro: Estimate
    f1_macro: Estimate
    precision_weighted: Estimate
    f1_weighted: Estimate
    kappa: Estimate
    kappa_quadratic: Estimate
    auroc_ovr: Estimate
    c_ordinal: Estimate
    rps: Estimate
    ece_top_label: Estimate
    classes: tuple[OfClass, ...]
    errors: Errors
    oracles: tuple[Oracle, ...]


class Cohort(Strict):
    """`n` rows with a category, of `patients`; `left_out` have none. `chose`: thresholds came from
    it, so that what is said of it is optimistic and not tested."""

    cohort: str
    chose: bool
    n: int
    patients: int
    left_out: int
    systems: tuple[Judged, ...]


class Contrast(Strict):
    """`statistic` of `second` minus that of `first`, on the same rows; p is two-sided."""

    cohort: str
    statistic: Literal["f1_macro", "balanced_accuracy", "kappa_quadratic", "rps"]
    first: str
    second: str
    difference: Estimate
    p: float | None = None
    p_holm: float | None = None


class ThreeClasses(Strict):
    """The content of three_classes.json; `comparisons` is the number of tests that have a p."""

    format: Literal["osteoray-classes/1"] = "osteoray-classes/1"
    classes: tuple[str, ...] = NAMES
    confidence: float
    draws: int
    seed: int
    systems: tuple[System, ...]
    cohorts: tuple[Cohort, ...]
    contrasts: tuple[Contrast, ...]
    comparisons: int
    notes: tuple[str, ...]
