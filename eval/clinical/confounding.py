"""The shape of the confounder probe in metrics.json; `eval.clinical.probe` computes it.

How much of an image model's AUROC could be had without an image, from age, sex, body and site?
Every AUROC is of the reference label unless said otherwise; differences are paired, on the same
rows. Covariate scores are out of fold: no row's score comes from a fit that saw its patient.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from data_sharding.schema import Strict
from eval.estimate import Estimate

CovariateName = Literal["age", "sex", "BMI", "site", "vendor"]


class Told(Strict):
    """How far the image score tells a covariate.

    Spearman's rho for age and BMI; for sex, site and vendor the AUROC of `level` against the rest
    (above 0.5: that level gets higher scores). `among_negatives` asks the same of the rows with a
    negative label alone. It need not be nothing even of a perfect model: of people without low bone
    mass, too, the older have less bone.
    """

    level: str = Field(description="'' for age and BMI")
    measure: Literal["Spearman's rho", "AUROC"]
    overall: Estimate
    among_negatives: Estimate


class Covariate(Strict):
    """One covariate: what it is worth alone (out of fold), and what the image score says of it."""

    name: CovariateName
    n: int = Field(description="labelled rows where it is known")
    missing: int
    auroc: Estimate
    told: tuple[Told, ...]


class Against(Strict):
    """Two scores on the same rows; `difference` is the AUROC of `first` minus that of `second`."""

    first: str
    second: str
    n: int
    patients: int
    positives: int
    first_auroc: Estimate
    second_auroc: Estimate
    difference: Estimate
    z: float | None
    p: float | None


class Matched(Strict):
    """AUROC over pairs of a positive and a negative of the same sex and nearly the same age."""

    years: float = Field(description="the ages of a pair differ by this much at most")
    pairs: int
    of_pairs: int = Field(description="pairs of a positive and a negative, matched or not")
    positives: int = Field(description="positive rows that have a match")
    negatives: int
    auroc: Estimate


class Confounding(Strict):
    """What of one model's AUROC on one cohort is age, sex, BMI, site or vendor."""

    n: int = Field(description="labelled rows")
    patients: int
    positives: int
    folds: int
    image: Estimate = Field(description="AUROC of the image score, all labelled rows")
    covariates: tuple[Covariate, ...]
    together: tuple[CovariateName, ...] = Field(description="covariates in the joint model")
    left_out: dict[str, str] = Field(description="covariate -> why it is not in the joint model")
    covariates_auroc: Estimate = Field(description="of the joint model, out of fold")
    explained: Estimate = Field(description="share of the image score's variance they predict")
    residualised: Estimate = Field(description="AUROC of the image score less what they predict")
    matched: Matched
    against: tuple[Against, ...] = Field(
        description="image - covariates; image + covariates - covariates; image - OST"
    )
