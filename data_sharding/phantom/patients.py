"""The people of the phantom world: age, sex, height, weight, a latent bone score, noisy DXA.

The latent is a T-like score of the whole skeleton. Its mean falls with age, is higher in men and
rises with body mass index, so that the share of low bone mass follows OsPenScreen's Table 1 (about
half of women and a quarter of men near 57 years; osteoporosis in some percent). Each DXA site is
the latent, an offset, and noise of its own: discordance between sites, positioning, precision.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

SITES = ("lumbar_spine", "femoral_neck", "total_hip")

#: Young-adult mean and SD of areal BMD in g/cm2: Hologic's L1-L4 reference, and NHANES III's white
#: women of 20-29 years (Looker et al., Osteoporos Int 1998) for the femur. As the ISCD advises,
#: one reference serves both sexes.
YOUNG_ADULT = ((1.047, 0.110), (0.858, 0.120), (0.942, 0.122))

SITE_OFFSET = (0.10, 0.00, 0.25)  # T-score: the total hip usually reads higher than the others
SITE_NOISE = (0.60, 0.52, 0.52)  # T-score; tuned so that the latent's AUROC is about .95
SPINE_DEGENERATION = 0.015  # T-score a year after 57: osteophytes raise a lumbar BMD
LATENT_SD = 0.92  # about the mean that age, sex and BMI give


@dataclass(frozen=True)
class Mix:
    """Who comes to a hospital: ages in years, share of women, and what else sets them apart.

    `bone` (T-score) is added to everybody's mean latent. `referred` is the share of people who are
    there because their bones are suspected: `REFERRED` says who they are, within the same ages.
    """

    age_mean: float
    age_sd: float
    age_low: float
    age_high: float
    female: float
    bone: float = 0.0
    referred: float = 0.0


#: People sent for a DXA on suspicion: as old and as often women as those with osteoporosis in Li et
#: al.'s Table 1 (71.1 years, SD 8.9; 86%); `bone` is tuned, so that most of them have it.
REFERRED = Mix(71.0, 9.0, 0, 120, 0.86, -1.0)


@dataclass(frozen=True)
class People:
    """n people as arrays of shape (n,); `latent` is a T-like score at the index date."""

    age: NDArray[np.float64]
    female: NDArray[np.bool_]
    height_cm: NDArray[np.float64]
    weight_kg: NDArray[np.float64]
    latent: NDArray[np.float64]


def draw_people(rng: np.random.Generator, mix: Mix, n: int) -> People:
    """Draw `n` people of a hospital's mix."""
    sent = referrals(rng, mix, n)
    of_all, of_sent = ((m.age_mean, m.age_sd, m.female) for m in (mix, REFERRED))
    mean, sd, women = np.where(sent[:, None], of_sent, of_all).T
    # Reflecting at the ends keeps the number of draws fixed, which keeps streams aligned.
    age = _reflect(rng.normal(mean, sd, n), mix.age_low, mix.age_high)
    female = rng.random(n) < women
    height = np.where(female, 158.0, 171.0) - 0.08 * (age - 57) + rng.normal(0, 5.8, n)
    bmi = np.clip(np.where(female, 23.6, 24.6) + rng.normal(0, 3.2, n), 16.0, 38.0)
    bone = mix.bone + REFERRED.bone * sent
    latent = latent_mean(age, female, bmi) + bone + rng.normal(0, LATENT_SD, n)
    return People(age, female, height, bmi * (height / 100) ** 2, latent)


def latent_mean(
    age: NDArray[np.float64], female: NDArray[np.bool_], bmi: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Mean latent score of people of that age, sex and BMI."""
    after_50 = np.clip(age, 30, 95) - 57.0
    women = -0.64 - 0.045 * after_50
    men = 0.02 - 0.020 * after_50
    return np.where(female, women, men) + 0.05 * (bmi - 24.0)


def site_means(latent: NDArray[np.float64], age: NDArray[np.float64]) -> NDArray[np.float64]:
    """Expected T-scores, shape (n, 3), in the order of `SITES`."""
    mean = latent[:, None] + np.asarray(SITE_OFFSET)
    mean[:, 0] += SPINE_DEGENERATION * np.maximum(age - 57.0, 0.0)
    return mean


def draw_t_scores(
    rng: np.random.Generator, latent: NDArray[np.float64], age: NDArray[np.float64]
) -> NDArray[np.float64]:
    """One DXA of each person: T-scores to one decimal, as printed on a report; shape (n, 3)."""
    noise = rng.normal(0.0, 1.0, (len(latent), 3)) * np.asarray(SITE_NOISE)
    return np.round(site_means(latent, age) + noise, 1) + 0.0  # + 0.0: no "-0.0" in a table


def referrals(rng: np.random.Generator, mix: Mix, n: int) -> NDArray[np.bool_]:
    """Who of `n` people is referred; drawn from a stream beside `rng`, which stays as it is."""
    if not mix.referred:
        return np.zeros(n, bool)
    return rng.spawn(1)[0].random(n) < mix.referred


@lru_cache(maxsize=16)
def referred_for(mix: Mix, prevalence: float) -> float:
    """The share of referred people with which this share of a mix has osteoporosis.

    Raises:
        ValueError: with nobody referred the share is larger already, or with everybody smaller.
    """
    shares = []
    for referred in (0.0, 1.0):
        rng = np.random.default_rng(2026)
        people = draw_people(rng, replace(mix, referred=referred), 60_000)
        lowest = draw_t_scores(rng, people.latent, people.age).min(axis=1)
        shares.append(float((lowest <= -2.5).mean()))
    low, high = shares
    if not low <= prevalence <= high:
        raise ValueError(
            f"osteoporosis is {prevalence}: give a share of people from {low + 0.005:.2f} to "
            f"{high - 0.005:.2f}, or 0 for that of the population."
        )
    return round((prevalence - low) / (high - low), 3)


def bmd(t_scores: ArrayLike) -> NDArray[np.float64]:
    """Areal BMD in g/cm2 of T-scores of shape (..., 3): young-adult mean + T * SD."""
    mean, sd = np.asarray(YOUNG_ADULT).T
    return np.round(mean + np.asarray(t_scores, float) * sd, 3)


def low_bone_mass_probability(
    latent: NDArray[np.float64], age: NDArray[np.float64]
) -> NDArray[np.float64]:
    """P(low bone mass | latent, age, not osteoporotic), in closed form; shape (n,).

    The best score any model could give: with F(c) = P(all three T-scores >= c) as a product of
    normal tails, it is ``(F(-2.5) - F(-1)) / F(-2.5)``. Cuts lie at the edges of the rounding.
    """
    mean = site_means(latent, age)
    sd = np.asarray(SITE_NOISE)
    not_osteoporotic = ndtr((mean + 2.45) / sd).prod(axis=1)
    normal = ndtr((mean + 1.05) / sd).prod(axis=1)
    return (not_osteoporotic - normal) / np.maximum(not_osteoporotic, 1e-300)


def _reflect(x: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    x = np.where(x < low, 2 * low - x, x)
    return np.clip(np.where(x > high, 2 * high - x, x), low, high)
