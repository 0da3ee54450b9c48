"""variants.json: several models of three classes on the same people, the first the yardstick."""

from __future__ import annotations

from typing import Literal

from data_sharding.schema import Strict
from eval.classes.shapes import NAMES, Part
from eval.classes.single_shapes import BodyFacts, Unit
from eval.estimate import Estimate

#: What the test can be of.
Tested = Literal[
    "auroc_ovr", "accuracy", "balanced_accuracy", "f1_macro", "f1_weighted", "kappa",
    "kappa_quadratic",
]  # fmt: skip


class Variant(Strict):
    """A row of the table: a run, or what age, sex and BMI alone say (`part` is None).

    `changed`: settings of its config.yaml that are not the first's, as (name, first, here);
    `data`: "" where it was made with the first one's datasets, else what is not the same.
    """

    name: str
    part: Part | None
    changed: tuple[tuple[str, str, str], ...]
    data: str


class Scores(Strict):
    """What one row is worth; intervals resample patients.

    `recall_weighted` would be the accuracy, and `recall_macro` is the balanced accuracy.
    """

    accuracy: Estimate
    precision_macro: Estimate
    balanced_accuracy: Estimate
    f1_macro: Estimate
    precision_weighted: Estimate
    f1_weighted: Estimate
    auroc_ovr: Estimate
    kappa: Estimate
    kappa_quadratic: Estimate


class Row(Strict):
    """A variant on one table's rows, and what it is less the first.

    - p: of the permutation test of the statistic tested; p_holm is corrected for the other rows.
      None where there is no test, `no_test` says why.
    """

    name: str
    scores: Scores
    difference: dict[str, Estimate]
    p: float | None = None
    p_holm: float | None = None
    no_test: str = ""


class Table(Strict):
    """All variants on `n` pictures, or people, of one cohort; `of_class` are of each class."""

    cohort: str
    unit: Unit
    n: int
    patients: int
    of_class: tuple[int, int, int]
    left_out: int
    rows: tuple[Row, ...]


class Variants(Strict):
    """The content of variants.json; `body` is None where `no_body` says why."""

    format: Literal["osteoray-variants/1"] = "osteoray-variants/1"
    classes: tuple[str, ...] = NAMES
    confidence: float
    draws: int
    seed: int
    tested: Tested
    variants: tuple[Variant, ...]
    body: BodyFacts | None
    no_body: str
    tables: tuple[Table, ...]
    notes: tuple[str, ...]
