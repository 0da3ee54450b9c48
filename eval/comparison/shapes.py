"""Several runs side by side, as compare.json holds them."""

from __future__ import annotations

from typing import Literal

from data_sharding.schema import Strict
from eval.estimate import Estimate
from eval.learnt import POSITIVE
from eval.subgroups import Gap


class Source(Strict):
    """A run: its name in this comparison, what it learnt, and its predictions."""

    run: str
    recipe: str
    positive: str = POSITIVE
    predictions_sha256: dict[str, str]


class Row(Strict):
    """One model of one run on one cohort; `tuning` says that the cohort chose its threshold."""

    run: str
    cohort: str
    model: str
    tuning: bool
    n: int
    patients: int
    positives: int
    threshold: float | None
    prevalence: Estimate
    auroc: Estimate
    average_precision: Estimate
    sensitivity: Estimate
    specificity: Estimate
    ppv: Estimate
    npv: Estimate
    brier: Estimate
    ece: Estimate
    slope: Estimate


class Side(Strict):
    """One side of a test: `n` rows of `patients` that the test was made on."""

    run: str
    cohort: str
    model: str
    n: int
    patients: int


class Contrast(Strict):
    """AUROC of `second` minus that of `first`.

    - kind: "paired" on the same pictures of one cohort; "unpaired" between cohorts that share
      nobody, where a difference may be the people's as well as the model's.
    - z is the paired statistic; D with df the unpaired one; p is two-sided.
    - p_holm, p_bonferroni: for `Comparison.comparisons` tests.
    - nri (any rise or fall), nri_at_threshold (crossing each model's own), idi: paired ones only;
      what `second` gains over `first`. Their intervals take rows as independent.
    - note: what the test is not made on, or what to doubt.
    """

    kind: Literal["paired", "unpaired"]
    first: Side
    second: Side
    difference: Estimate
    z: float | None = None
    D: float | None = None
    df: float | None = None
    p: float | None = None
    p_holm: float | None = None
    p_bonferroni: float | None = None
    nri: Estimate | None = None
    nri_at_threshold: Estimate | None = None
    idi: Estimate | None = None
    note: str | None = None


class Drift(Strict):
    """One model of one run on `cohort`, minus the same on its `home` (`comparison.drift`).

    - scores: the chance that a picture from there scores higher than one from home; 0.5 is alike.
    - distance: largest distance between the two cumulative distributions of scores, 0 to 1.
    """

    run: str
    model: str
    home: str
    cohort: str
    patients_home: int
    patients: int
    auroc: Estimate
    prevalence: Estimate
    called_positive: Estimate
    sensitivity: Estimate
    specificity: Estimate
    in_the_large: Estimate
    slope: Estimate
    ece: Estimate
    scores: Estimate
    distance: Estimate


class GroupGap(Strict):
    """A subgroup of one characteristic under one model; numbers are None where `suppressed`."""

    run: str
    cohort: str
    model: str
    by: str
    level: str
    n: int | None
    patients: int | None
    auroc: Estimate | None
    gap: Gap | None
    suppressed: str | None = None


class Comparison(Strict):
    """The content of compare.json; `comparisons` is the number of tests that have a p.

    The gaps' p are corrected within their model and cohort, and are not among them.
    """

    format: Literal["osteoray-comparison/2"] = "osteoray-comparison/2"
    confidence: float
    sources: tuple[Source, ...]
    rows: tuple[Row, ...]
    contrasts: tuple[Contrast, ...]
    comparisons: int
    notes: tuple[str, ...]
    drift: tuple[Drift, ...] = ()
    gaps: tuple[GroupGap, ...] = ()
