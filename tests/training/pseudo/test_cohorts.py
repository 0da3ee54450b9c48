"""Simulated cohorts: does the precision asked for come true in the population, and at what cost?

A latent class model with known truth: y ~ Bernoulli(prevalence), score s | y from two Gaussians
(or others). The thresholds are chosen on a tune split of 200 to 800, prevalence .2 to .5; what they
keep is judged on 400,000 draws of each class that the method never sees, or on a public set.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
from scipy.special import expit, logit

from data_sharding.schema import CLASSES
from training.config import Pseudo
from training.pseudo import bounds
from training.pseudo.ledger import decide
from training.pseudo.thresholds import Thresholds, choose
from training.validate import fit_temperature

COHORTS = 500
Rng = np.random.Generator
Latent = Callable[[Rng, np.ndarray], np.ndarray]


def gaussian(d: float) -> Latent:
    """log-odds of the true posterior up to the prevalence: N(+-d^2/2, d^2)."""
    return lambda rng, y: rng.normal((2 * y - 1) * d * d / 2, d)


def heavy(d: float) -> Latent:
    """Student t with 4 degrees of freedom around +-d: the surest are not the likeliest."""
    return lambda rng, y: (2 * y - 1) * d + rng.standard_t(4, len(y))


def coarse(d: float) -> Latent:
    """A teacher that says one of few things: ties everywhere."""
    return lambda rng, y: np.round(gaussian(d)(rng, y) * 2) / 2


def artefact(d: float) -> Latent:
    """2% of all pictures look like surest positives, whatever they are."""

    def draw(rng: Rng, y: np.ndarray) -> np.ndarray:
        return np.where(rng.random(len(y)) < 0.02, 12 + rng.random(len(y)), gaussian(d)(rng, y))

    return draw


def best_of(d: float, epochs: int, alike: float) -> Latent:
    """Of equally good epochs, whose errors correlate at `alike`, the best AUROC on this split."""

    def draw(rng: Rng, y: np.ndarray) -> np.ndarray:
        if len(np.unique(y)) < 2:  # in the population they are all the same
            return gaussian(d)(rng, y)
        own = rng.normal(0, d * np.sqrt(1 - alike), (epochs, len(y)))
        z = (2 * y - 1) * d * d / 2 + rng.normal(0, d * np.sqrt(alike), len(y)) + own
        ranks = z.argsort(axis=1).argsort(axis=1)
        return z[ranks[:, y == 1].sum(axis=1).argmax()]

    return draw


@dataclass
class Realised:
    """What came of one cohort, for one class: precision (nan if nobody was kept) and share kept."""

    precision: list[float]
    share: list[float]

    def held(self, target: float) -> float:
        p = np.array(self.precision)
        return float((np.isnan(p) | (p >= target)).mean())

    def some(self) -> float:
        return float(np.isfinite(self.precision).mean())


@cache
def population(latent: Latent) -> tuple[np.ndarray, np.ndarray]:
    """Sorted scores of each class."""
    rng = np.random.default_rng(99)
    return tuple(np.sort(latent(rng, np.full(400_000, c))) for c in (0, 1))  # type: ignore[return-value]


def simulate(
    latent: Latent,
    target: float,
    gain: float = 1.0,
    bias: float = 0.0,
    calibrate: bool = True,
    shifted: bool = False,
    state: bool = False,
    prevalences: tuple[float, float] = (0.2, 0.5),
    choose_: Callable[..., Thresholds] = choose,
) -> tuple[Realised, Realised]:
    """Both classes over the cohorts. The teacher says gain * (log-odds + bias)."""
    settings = Pseudo(target_precision_normal=target, target_precision_lbm=target)
    found = Realised([], []), Realised([], [])
    rng = np.random.default_rng(0)
    for _ in range(COHORTS):
        prevalence, n = rng.uniform(*prevalences), int(rng.integers(200, 801))
        there = rng.uniform(*prevalences) if shifted else prevalence
        y = (rng.random(n) < prevalence).astype(np.int64)
        offset = np.log(prevalence / (1 - prevalence)) + bias
        z = gain * (latent(rng, y) + offset)
        t = fit_temperature(y, z)["temperature"] if calibrate else 1.0
        row = np.arange(n).astype(str)
        chosen = choose_(settings, y, expit(z / t), row, row, there if state else None)
        for c, threshold in enumerate((chosen.p_normal, chosen.p_lbm)):
            kept = [0.0, 0.0]
            if threshold is not None:  # back to the latent score; normals are those below
                edge = (2 * c - 1) * logit(threshold) * t / gain - offset
                below = [np.searchsorted(s, edge) / len(s) for s in population(latent)]
                kept = [1 - x for x in below] if c else below
            share = [(1 - there) * kept[0], there * kept[1]]
            found[c].precision.append(share[c] / sum(share) if sum(share) else np.nan)
            found[c].share.append(sum(share))
    return found


def loosest(bonferroni: bool) -> Callable[..., Thresholds]:
    """Of many thresholds the loosest whose bound passes, with and without paying for the choice."""

    def chosen(settings, label, p, patient, key, _):
        found = choose(settings, label, p, patient, key)
        target, parts = settings.target_precision_lbm, {}
        looks = np.array(bounds.sizes(target, 0.95, len(p) - 1), int)
        n = looks if bonferroni else np.arange(5, len(p))
        confidence = 1 - 0.05 / max(len(n), 1) if bonferroni else 0.95
        for c, name in enumerate(("normal", "low_bone_mass")):
            score = p if c else 1 - p
            order = np.argsort(-score)
            right, edge = np.cumsum(label[order] == c), score[order][n]
            passes = (bounds.lower(right[n - 1], n, confidence) >= target) & (edge > 0.5)
            at = np.nextafter(edge[passes][-1], 1) if passes.any() else None
            parts[name] = getattr(found, name).model_copy(update={"threshold": at})
        return found.model_copy(update=parts)

    return chosen


@pytest.mark.parametrize(
    ("latent", "target", "teacher"),
    [
        (gaussian(2), 0.9, {}),
        (gaussian(3), 0.9, {"calibrate": False}),
        (gaussian(2), 0.85, {"gain": 3.0, "bias": 1.0, "calibrate": False}),  # far too sure
        (gaussian(1), 0.72, {"bias": -2.0, "gain": 0.5}),  # too shy; a bias no temperature mends
        (gaussian(1), 0.72, {"bias": 2.0, "gain": 3.0}),
        (gaussian(0.1), 0.57, {"gain": 3.0, "prevalences": (0.5, 0.55)}),  # knows nothing
        (heavy(2), 0.9, {"bias": 1.0}),
        (coarse(2), 0.85, {"bias": 1.0}),
        (artefact(2), 0.85, {"bias": 1.0}),
    ],
)
def test_precision_asked_for_is_reached_in_95_of_100_cohorts(latent, target, teacher):
    for c, realised in enumerate(simulate(latent, target, **teacher)):
        assert realised.held(target) >= 0.95, (c, realised.held(target))


def test_also_where_it_is_counted_on_a_public_set():
    """As a user would find out: 5,000 public pictures decided on, and then all of them measured."""
    latent, rng, held, kept = gaussian(3), np.random.default_rng(1), [], []
    settings = Pseudo(target_precision_normal=0.95, target_precision_lbm=0.9)
    for _ in range(COHORTS):
        prevalence = rng.uniform(0.2, 0.5)
        y = (rng.random(rng.integers(200, 801)) < prevalence).astype(np.int64)
        z = latent(rng, y) + np.log(prevalence / (1 - prevalence))
        truth = (rng.random(5000) < prevalence).astype(np.int64)
        there = latent(rng, truth) + np.log(prevalence / (1 - prevalence))
        row = np.arange(len(y)).astype(str)
        decided = decide(expit(there), choose(settings, y, expit(z), row, row))
        right = [(truth[decided == name] == c) for c, name in enumerate(CLASSES)]
        kept.append([len(r) > 0 for r in right])
        held.append([not len(r) or r.mean() >= t for r, t in zip(right, (0.95, 0.9), strict=True)])
    assert np.mean(held, axis=0).min() >= 0.95
    assert np.mean(kept, axis=0).min() > 0.9


def test_a_teacher_that_was_chosen_on_the_same_split():
    """Not covered by the bound: what it costs where the chosen epoch was one of ten."""
    for realised in simulate(best_of(2, epochs=10, alike=0.8), 0.9):
        assert realised.held(0.9) >= 0.94


def test_a_good_teacher_is_not_kept_from_teaching():
    normal, lbm = simulate(gaussian(3), 0.9)
    assert normal.some() > 0.99
    assert lbm.some() > 0.9
    # At thresholds of .5, where this teacher's precision is above .9, it would keep everybody of
    # .65 normals and .35 positives on average.
    assert np.mean(normal.share) > 0.6
    assert np.mean(lbm.share) > 0.25


def test_a_stated_prevalence_saves_the_precision_where_it_differs():
    said = simulate(gaussian(2), 0.9, shifted=True, state=True)
    unsaid = simulate(gaussian(2), 0.9, shifted=True, state=False)
    for c in (0, 1):
        assert said[c].held(0.9) >= 0.95
        assert unsaid[c].held(0.9) < 0.9  # why there is a warning
        assert said[c].some() > 0.3


def test_to_choose_among_thresholds_without_a_sequence_breaks_the_promise():
    """So the test above can fail; and paying for the choice by Bonferroni keeps fewer."""
    useless = {"gain": 3.0, "prevalences": (0.5, 0.55)}
    naive = simulate(gaussian(0.1), 0.57, choose_=loosest(bonferroni=False), **useless)
    assert min(r.held(0.57) for r in naive) < 0.92
    ours = simulate(gaussian(2), 0.9)
    paid = simulate(gaussian(2), 0.9, choose_=loosest(bonferroni=True))
    for c in (0, 1):
        assert paid[c].held(0.9) >= 0.95
        assert np.mean(ours[c].share) > 1.1 * np.mean(paid[c].share)
