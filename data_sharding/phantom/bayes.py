"""What is known of a person's class by somebody who knows the world's laws: closed forms.

The lowest of three T-scores decides the class (normal, low bone mass, osteoporosis). Given latent
and age the three DXA sites are independent, so P(all T >= c) is a product of normal tails. Given
age, sex and BMI the latent is normal about `latent_mean` (a mixture of two where some people are
referred), and a reading of it off by a normal error leaves it normal: Gauss-Hermite nodes then
integrate the classes over it. Sex and BMI say nothing once the latent is known.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from data_sharding.phantom.patients import (
    LATENT_SD,
    REFERRED,
    SITE_NOISE,
    Mix,
    People,
    latent_mean,
    site_means,
)

CUTS = (-2.45, -1.05)  # T-scores are rounded to 0.1: the edges of osteoporosis and of normal
NODES = 16  # within 0.001 of quadrature

Array = NDArray[np.float64]


def class_probabilities(latent: Array, age: Array, cuts: tuple[float, float] = CUTS) -> Array:
    """P(normal, low bone mass, osteoporosis | latent, age): shape (n, 3), rows sum to 1."""
    mean, sd = site_means(latent, age), np.asarray(SITE_NOISE)
    spared, normal = (ndtr((mean - cut) / sd).prod(axis=1) for cut in cuts)
    return np.stack([normal, spared - normal, 1 - spared], axis=1)


def clinical_probabilities(
    mix: Mix,
    people: People,
    reading: Array | None = None,
    error: float = np.inf,
    cuts: tuple[float, float] = CUTS,
) -> Array:
    """P(class | age, sex, BMI), or that and a reading of the latent; shape (n, 3), rows sum to 1.

    Args:
        mix: where the people come from.
        people: their latent is not looked at.
        reading: latent plus a normal error, T, shape (n,); as a picture's score would be.
        error: SD of that error, T.
        cuts: lowest T-scores between which low bone mass lies, at the edges of the rounding.
    """
    bmi = people.weight_kg / (people.height_cm / 100) ** 2
    centre = latent_mean(people.age, people.female, bmi) + mix.bone
    groups = [(replace(mix, referred=0.0), 1 - mix.referred, 0.0)]
    if mix.referred:
        sent = replace(REFERRED, age_low=mix.age_low, age_high=mix.age_high)
        groups.append((sent, mix.referred, REFERRED.bone))
    points, shares = np.polynomial.hermite_e.hermegauss(NODES)
    shares = shares / shares.sum()
    total = np.zeros((len(people.age), 3))
    for group, weight, bone in groups:
        women = np.where(people.female, group.female, 1 - group.female)
        weight = weight * women * age_density(group, people.age)
        prior, variance = centre + bone, LATENT_SD**2
        if reading is not None:
            spread = variance + error**2
            weight = weight * np.exp(-((reading - prior) ** 2) / (2 * spread)) / np.sqrt(spread)
            prior = prior + (reading - prior) * variance / spread
            variance = variance * error**2 / spread
        for point, share in zip(points, shares, strict=True):
            found = class_probabilities(prior + np.sqrt(variance) * point, people.age, cuts)
            total += (weight * share)[:, None] * found
    return total / np.maximum(total.sum(axis=1, keepdims=True), 1e-300)


def age_density(mix: Mix, age: Array) -> Array:
    """Density of an age in a mix: a normal one, its tails folded back at both ends."""
    z = np.stack([age, 2 * mix.age_low - age, 2 * mix.age_high - age]) - mix.age_mean
    return np.exp(-0.5 * (z / mix.age_sd) ** 2).sum(axis=0) / (mix.age_sd * np.sqrt(2 * np.pi))
