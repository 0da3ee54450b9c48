"""How sick the people of a cohort are: what its accuracy depends on and another clinic's will not.

Sensitivity rises with severity and PPV with prevalence, so a result travels only to people like
these (Ransohoff & Feinstein, NEJM 1978).
"""

from __future__ import annotations

from data_sharding.schema import Strict
from eval.estimate import Estimate


class Spectrum(Strict):
    """Shares of the patients with a reference label, with intervals.

    - prevalence: of low bone mass.
    - severities: mild, moderate, advanced -> share of those with low bone mass; empty where the
      cohort states none.
    - women: share of those whose sex is known.
    - aged_65: share of those whose age is known.
    """

    patients: int
    prevalence: Estimate
    severities: dict[str, Estimate]
    women: Estimate
    aged_65: Estimate
