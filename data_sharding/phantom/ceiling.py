"""The best any model can reach here in each task, and what less than a picture reaches.

The label is a noisy reading of the latent: DXA sites disagree, scores are rounded, cuts are sharp.
A model that knew the latent and the age exactly would score `bayes.class_probabilities`; its AUROC
against the labels is the ceiling. Everything is computed on a large draw of a site's people (the
expectation) and on the patients of the world at hand (where chance may put it above or below).

Tasks are named as runs name them: ``low bone mass`` (against normal; from 50, without osteoporosis:
OsPenScreen's), ``osteoporosis`` (against none; from 40: Li et al.'s) and ``three classes`` (from
50; as two, normal against the rest, and as three).
"""

from __future__ import annotations

from dataclasses import fields
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from data_sharding.phantom.bayes import class_probabilities, clinical_probabilities
from data_sharding.phantom.patients import People, draw_people, draw_t_scores
from data_sharding.phantom.vendors import Site

DRAWS = 60_000
READ = 10_000  # of them are read with an error, which is slower
#: Task -> least age, and the class that is left out.
TASKS = {"low bone mass": (50.0, 2), "osteoporosis": (40.0, None), "three classes": (50.0, None)}
ERRORS = (0.4, 0.8, 1.2, 1.6, 2.4)  # SD of the error of a picture's reading of the latent, T
FIRST = ("ceiling", "latent", "age_and_sex", "prevalence", "n")


def auroc(label: NDArray[np.bool_], score: NDArray[np.float64]) -> float | None:
    """Mann-Whitney's AUROC with midranks; None if a class is missing."""
    positives = int(label.sum())
    negatives = len(label) - positives
    if not positives or not negatives:
        return None
    ranks = rankdata(score)
    u = ranks[label].sum() - positives * (positives + 1) / 2
    return float(u / (positives * negatives))


def expected_auroc(
    positive: NDArray[np.float64], negative: NDArray[np.float64], score: NDArray[np.float64]
) -> float:
    """AUROC where each person is positive and negative with known chances; all of shape (n,).

    Without the noise of drawing labels. Chances must be given all that the score is made of.
    """
    order = np.argsort(score)
    below = np.cumsum(negative[order]) - negative[order] / 2
    return float(positive[order] @ below / (positive.sum() * negative.sum()))


def site_ceilings(
    site: Site, people: People, lowest_t: NDArray[np.float64]
) -> dict[str, dict[str, Any]]:
    """What world.json says of a site, whose patients with a DXA are `people` (n of them).

    Returns:
        ``population`` and ``patients``: the first five facts of the task low bone mass;
        ``tasks``: task -> ``population`` and ``patients`` -> `facts`; a population has `readings`.
    """
    population = expected(site)
    clinical = clinical_probabilities(site.mix, people)
    tasks = {
        task: {
            "population": population[task],
            "patients": facts(people, lowest_t, task, clinical),
        }
        for task in TASKS
    }
    first = tasks["low bone mass"]
    return {
        **{part: {k: first[part][k] for k in FIRST} for part in ("population", "patients")},
        "tasks": tasks,
    }


@lru_cache(maxsize=16)
def expected(site: Site) -> dict[str, dict[str, Any]]:
    """Task -> `facts` and `readings` of a large draw of a site's people; the same each time."""
    rng = np.random.default_rng([2025, site.code])
    drawn = draw_people(rng, site.mix, DRAWS)
    lowest = draw_t_scores(rng, drawn.latent, drawn.age).min(axis=1)
    told = readings(site, _rows(drawn, slice(READ)), rng)
    return {task: facts(drawn, lowest, task) | told[task] for task in TASKS}


def facts(
    people: People,
    lowest_t: NDArray[np.float64],
    task: str,
    clinical: NDArray[np.float64] | None = None,
) -> dict[str, float | int | None]:
    """AUROCs in one task; `clinical` is P(class | age, sex, BMI) of these people, if wanted.

    Returns:
        ``ceiling``: of P(class | latent, age), which sex and BMI cannot better; ``latent``: of the
        latent alone; ``clinical``: of P(class | age, sex, BMI); ``age_and_sex``: of the rate by sex
        and 5-year band of age (in sample); ``prevalence``; ``n``: patients counted. Three classes
        are told as normal against the rest, and as three: ``accuracy`` and ``macro_f1`` of the
        class that is likeliest given latent and age. No classifier has a higher accuracy.
    """
    kept = _kept(people.age, task)
    kept &= classes(lowest_t) != TASKS[task][1]
    who, category = _rows(people, kept), classes(lowest_t[kept])
    label = category == 2 if task == "osteoporosis" else category >= 1
    bayes = class_probabilities(who.latent, who.age)
    group = (who.age // 5).astype(int) * 2 + who.female
    size = np.maximum(np.bincount(group), 1) if len(group) else np.ones(1)
    rate = np.bincount(group, weights=label) / size if len(group) else np.zeros(1)
    found: dict[str, float | int | None] = {
        "ceiling": _rounded(auroc(label, _score(bayes, task))),
        "latent": _rounded(auroc(label, -who.latent)),
        "age_and_sex": _rounded(auroc(label, rate[group])),
        "prevalence": _rounded(float(label.mean())) if len(label) else None,
        "n": len(label),
    }
    if clinical is not None:
        found["clinical"] = _rounded(auroc(label, _score(clinical[kept], task)))
    if task == "three classes":
        accuracy, macro_f1 = _as_three(bayes.argmax(axis=1), category)
        found |= {"accuracy": accuracy, "macro_f1": macro_f1}
    return found


def readings(site: Site, people: People, rng: np.random.Generator) -> dict[str, dict[str, Any]]:
    """Task -> ``clinical`` and ``readings``, as expected in these people.

    A reading is a picture that shows the latent with a normal error: ``error`` (SD, T), the AUROC
    of the reading (``picture``) and of the reading with age, sex and BMI (``combined``).
    """
    alone = clinical_probabilities(site.mix, people)
    told: dict[str, dict[str, Any]] = {}
    for task in TASKS:
        told[task] = {"clinical": _expected(alone, _score(alone, task), people.age, task)}
        told[task]["readings"] = []
    for error in ERRORS:
        read = people.latent + rng.normal(0, error, len(people.latent))
        both = clinical_probabilities(site.mix, people, read, error)
        for task in TASKS:
            picture = _expected(both, -read, people.age, task)
            combined = _expected(both, _score(both, task), people.age, task)
            told[task]["readings"].append(
                {"error": error, "picture": picture, "combined": combined}
            )
    return told


def _expected(
    p: NDArray[np.float64], score: NDArray[np.float64], age: NDArray[np.float64], task: str
) -> float | None:
    kept = _kept(age, task)
    sick = {"low bone mass": p[:, 1], "osteoporosis": p[:, 2]}.get(task, p[:, 1] + p[:, 2])
    well = p[:, 0] + p[:, 1] if task == "osteoporosis" else p[:, 0]
    return _rounded(expected_auroc(sick[kept], well[kept], score[kept]))


def expected_combined(population: dict[str, Any], picture: float) -> float:
    """The AUROC that age, sex and BMI lift a picture's reading to, by the reading's own AUROC.

    Between the readings of world.json, from `clinical` (a picture that says nothing, 0.5) to the
    ceiling (one that shows the latent). Of a score that holds no more than a reading does: one
    that has seen sex or stature in the picture gains less.

    Args:
        population: a task's, of world.json.
        picture: AUROC of the reading, from 0.5 to the ceiling.
    """
    rows = population["readings"]
    known = [(0.5, population["clinical"])]
    known += sorted((row["picture"], row["combined"]) for row in rows)
    known += [(population["ceiling"], population["ceiling"])]
    x, y = np.array(known).T
    return float(np.interp(picture, x, y))


def classes(lowest_t: NDArray[np.float64]) -> NDArray[np.int64]:
    """0 normal, 1 low bone mass, 2 osteoporosis, by the lowest T-score; shape (n,)."""
    return (lowest_t < -1.0).astype(np.int64) + (lowest_t <= -2.5)


def _kept(age: NDArray[np.float64], task: str) -> NDArray[np.bool_]:
    return age >= TASKS[task][0]


def _rows(people: People, kept: NDArray[np.bool_] | slice) -> People:
    return People(*(getattr(people, f.name)[kept] for f in fields(people)))


def _score(p: NDArray[np.float64], task: str) -> NDArray[np.float64]:
    if task == "low bone mass":
        return p[:, 1] / np.maximum(p[:, 0] + p[:, 1], 1e-300)
    return p[:, 2] if task == "osteoporosis" else 1 - p[:, 0]


def _as_three(
    said: NDArray[np.int64], category: NDArray[np.int64]
) -> tuple[float | None, float | None]:
    """(accuracy, macro F1); None without patients, F1 without one of the classes."""
    if not len(category):
        return None, None
    table = np.bincount(3 * category + said, minlength=9).reshape(3, 3)
    truth, told, hit = table.sum(axis=1), table.sum(axis=0), np.diag(table)
    f1 = _rounded(float(np.mean(2 * hit / (truth + told)))) if truth.all() else None
    return _rounded(float(hit.sum() / len(category))), f1


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
