"""The best AUROC any model can reach here, and what age and sex alone reach.

The label is a noisy reading of the latent: DXA sites disagree, scores are rounded, cuts are sharp.
A model that knew the latent and the age exactly would score `low_bone_mass_probability`; its AUROC
against the labels is the ceiling. It is computed on a large draw of a site's people (the
expectation) and on the patients of the world at hand (where chance may put it above or below).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from data_sharding.phantom.patients import draw_people, draw_t_scores, low_bone_mass_probability
from data_sharding.phantom.vendors import Site

DRAWS = 60_000
MINIMUM_AGE = 50.0


def auroc(label: NDArray[np.bool_], score: NDArray[np.float64]) -> float | None:
    """Mann-Whitney's AUROC with midranks; None if a class is missing."""
    positives = int(label.sum())
    negatives = len(label) - positives
    if not positives or not negatives:
        return None
    ranks = rankdata(score)
    u = ranks[label].sum() - positives * (positives + 1) / 2
    return float(u / (positives * negatives))


def population_ceiling(site: Site) -> dict[str, float | None]:
    """Ceilings of the OsPenScreen task for a site's population: keys as `sample_ceiling`'s."""
    rng = np.random.default_rng([2025, site.code])
    people = draw_people(rng, site.mix, DRAWS)
    lowest = draw_t_scores(rng, people.latent, people.age).min(axis=1)
    return sample_ceiling(people.latent, people.age, people.female, lowest)


def sample_ceiling(
    latent: NDArray[np.float64],
    age: NDArray[np.float64],
    female: NDArray[np.bool_],
    lowest_t: NDArray[np.float64],
) -> dict[str, float | None]:
    """AUROCs in patients aged 50 or more without osteoporosis; arrays of shape (n,).

    Returns:
        ``ceiling``: of P(low bone mass | latent, age); ``latent``: of the latent alone;
        ``age_and_sex``: of the rate of low bone mass by sex and 5-year band of age (in sample);
        ``prevalence``: of low bone mass; ``n``: patients counted.
    """
    keep = (age >= MINIMUM_AGE) & (lowest_t > -2.5)
    latent, age, female, lowest_t = latent[keep], age[keep], female[keep], lowest_t[keep]
    label = lowest_t < -1.0
    group = (age // 5).astype(int) * 2 + female
    size = np.maximum(np.bincount(group), 1) if len(group) else np.ones(1)
    rate = np.bincount(group, weights=label) / size if len(group) else np.zeros(1)
    return {
        "ceiling": _rounded(auroc(label, low_bone_mass_probability(latent, age))),
        "latent": _rounded(auroc(label, -latent)),
        "age_and_sex": _rounded(auroc(label, rate[group])),
        "prevalence": _rounded(float(label.mean())) if len(label) else None,
        "n": len(label),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
