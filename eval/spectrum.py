"""How sick the people of a cohort are: what its accuracy depends on and another clinic's will not.

Sensitivity rises with severity and PPV with prevalence, so a result travels only to people like
these (Ransohoff & Feinstein, NEJM 1978).
"""

from __future__ import annotations

import numpy as np

from data_sharding.schema import SEVERITIES, Strict
from eval.estimate import Estimate, undefined
from eval.frames import Column, Frame
from eval.intervals import Method, proportion
from eval.subgroups import Rule


class Spectrum(Strict):
    """Shares of the patients with a reference label, with intervals.

    - prevalence: of positive labels.
    - severities: mild, moderate, advanced -> share of those with a positive label and one of these
      (osteoporosis is beyond them); empty where the cohort states none.
    - women: share of those whose sex is known.
    - aged_65: share of those whose age is known.
    """

    patients: int
    prevalence: Estimate
    severities: dict[str, Estimate]
    women: Estimate
    aged_65: Estimate


def spectrum(
    frame: Frame, rule: Rule, method: Method = "wilson", confidence: float = 0.95
) -> Spectrum | None:
    """Of the patients of a cohort, a patient's first labelled key speaking; None without any.

    Args:
        frame: predictions of any number of models.
        rule: a share that would give a kept back group away is not stated.
        method: kind of binomial interval.
        confidence: two-sided level.
    """
    labelled = frame[frame["label"].notna()].sort_values("key")
    people = labelled.drop_duplicates("patient")
    if not len(people):
        return None

    def share(success: Column, of: Column, empty: str, by: str = "", level: str = "") -> Estimate:
        if level in rule.kept_back.get(by, ()):
            return undefined(rule.reason)
        hits = success[of].to_numpy(bool, na_value=False)
        return proportion(hits, np.arange(hits.size), empty, method, confidence)

    sick = people["label"] == 1
    severity, sex, age = people["severity"].astype(object), people["sex"], people["age"]
    stated = sick & severity.isin(SEVERITIES[1:])
    return Spectrum(
        patients=len(people),
        prevalence=share(sick, sick.notna(), "nobody with a label"),
        severities={
            s: share(severity == s, stated, "nobody here has a positive label", "severity", s)
            for s in (SEVERITIES[1:] if stated.any() else ())
        },
        women=share(sex == "F", sex.isin(["F", "M"]), "no sex is known", "sex", "women"),
        aged_65=share(age >= 65, age.notna(), "no age is known", "age", "≥65"),
    )
