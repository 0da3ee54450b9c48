"""People of the phantom world with a simulated image score, and the best answer there could be.

The image score is the latent bone score and noise of known size. Given it, age, sex and body mass
index, the latent is normal with known mean and variance, and the three DXA sites are independent
given the latent: P(lowest T <= -2.5) is one integral over a normal density, done by Gauss-Hermite
quadrature. No score of these facts can rank better (Neyman & Pearson).
"""

import numpy as np
import pandas as pd
from scipy.special import expit, ndtr

from data_sharding.phantom.patients import (
    LATENT_SD,
    SITE_NOISE,
    Mix,
    draw_people,
    draw_t_scores,
    latent_mean,
    site_means,
)

#: SD of the image score about the latent: an image model of middling worth.
NOISE = 1.2
MIX = Mix(age_mean=66, age_sd=10, age_low=41, age_high=90, female=0.7)


def world(n, seed, prefix="p"):
    """Rows as predictions have them, `image` (a probability), and `best`, the best probability."""
    rng = np.random.default_rng(seed)
    people = draw_people(rng, MIX, n)
    t = draw_t_scores(rng, people.latent, people.age)
    seen = people.latent + rng.normal(0, NOISE, n)
    bmi = people.weight_kg / (people.height_cm / 100) ** 2
    return pd.DataFrame(
        {
            "key": [f"{prefix}-k{i:05d}" for i in range(n)],
            "patient": [f"{prefix}{i:05d}" for i in range(n)],
            "label": pd.array((t.min(axis=1) <= -2.5).astype(int), dtype="Int64"),
            "age": people.age,
            "sex": np.where(people.female, "F", "M"),
            "height_cm": people.height_cm,
            "weight_kg": people.weight_kg,
            "image": expit(-1.5 * (seen + 2)),
            "best": posterior(seen, people.age, people.female, bmi),
        }
    )


def posterior(seen, age, female, bmi):
    """P(lowest of three T-scores, as printed, <= -2.5 | image score, age, sex, BMI), [n]."""
    prior = latent_mean(age, female, bmi)
    gain = LATENT_SD**2 / (LATENT_SD**2 + NOISE**2)
    mean, sd = prior + gain * (seen - prior), LATENT_SD * np.sqrt(1 - gain)
    x, w = np.polynomial.hermite_e.hermegauss(40)
    total = np.zeros(len(seen))
    for node, weight in zip(x, w / w.sum(), strict=True):
        # a T-score is printed above -2.5 where it is above -2.45
        above = ndtr((site_means(mean + sd * node, age) + 2.45) / np.asarray(SITE_NOISE))
        total += weight * (1 - above.prod(axis=1))
    return total
