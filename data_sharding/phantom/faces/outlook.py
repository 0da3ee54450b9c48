"""What a face of this world can tell at best: world.json's ceilings, by the laws that made it.

The label is a noisy reading of the latent (`ceiling`), and a face shows the latent with a normal
error (`law`). Who knows both laws, and age, sex and BMI exactly, does as `face_and_clinical` says;
no model of photographs does better in the long run. Pose, light and camera only take away from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_sharding.phantom.bayes import class_probabilities, clinical_probabilities
from data_sharding.phantom.ceiling import auroc, expected_auroc
from data_sharding.phantom.faces.law import REGIONS, Law
from data_sharding.phantom.faces.visage import MENOPAUSE, menopause_of, visage_of
from data_sharding.phantom.patients import People, draw_people, draw_t_scores
from data_sharding.phantom.stories import Story
from data_sharding.phantom.vendors import Site

DRAWS = 20_000
CUTS = (-2.45, -0.95)  # face2bone/1: a T-score of exactly -1.0 is osteopenia
WINDOW = 180  # days between photograph and DXA, as face2bone/1 has it
OLDEST_PRE = 50.0  # men must be older

Array = NDArray[np.float64]


def category_of(seed: int, story: Story, day: date) -> int | None:
    """face2bone/1's class of a patient photographed on a day; None where it takes nobody."""
    exam = story.nearest_exam(day)
    if exam is None or abs((exam.day - day).days) > WINDOW or None in exam.t_scores:
        return None
    age = (exam.day - story.birth).days / 365.25
    if menopause_of(seed, story) != "post" if story.sex == "F" else age <= OLDEST_PRE:
        return None
    return int(exam.lowest <= -1.0) + int(exam.lowest <= -2.5)


def outlook(site: Site, law: Law, seed: int, stories: list[Story]) -> dict[str, Any]:
    """Weights, errors of reading, and ceilings in the population and in these patients."""
    rng = np.random.default_rng(2027)
    people = draw_people(rng, site.mix, DRAWS)
    lowest = draw_t_scores(rng, people.latent, people.age).min(axis=1)
    since = rng.normal(*MENOPAUSE, DRAWS)
    taken = np.where(people.female, people.age > since, people.age > OLDEST_PRE)
    people = _rows(people, taken)
    category = categories(lowest[taken])
    reading = people.latent + rng.normal(0, law.reading_error, len(category))
    both = clinical_probabilities(site.mix, people, reading, law.reading_error, CUTS)
    alone = clinical_probabilities(site.mix, people, cuts=CUTS)
    known = class_probabilities(people.latent, people.age, CUTS)
    ceilings = {
        "latent": scores(known),
        "face_and_clinical": scores(both),
        "face": _of_reading(both, reading),
        "clinical": scores(alone),
    }
    errors = law.region_errors()
    regions: dict[str, Any] = {}
    for name in REGIONS:
        error = errors[name]
        if error is not None:
            read = people.latent + rng.normal(0, error, len(category))
            found = clinical_probabilities(site.mix, people, read, error, CUTS)
            regions[name] = _of_reading(found, read)
    said = [category_of(seed, s, s.shots[0].day) for s in stories]
    counts = {str(c): said.count(c) for c in (0, 1, 2)}
    return {
        "weights": dict(zip(REGIONS, law.weights, strict=True)),
        "reading_error": law.reading_error,
        "region_errors": errors,
        "task": "face2bone/1: normal, osteopenia, osteoporosis",
        "classes": counts | {"not_taken": said.count(None)},
        "ceilings": ceilings,
        "regions_alone": regions,
        "patients_at_hand": _at_hand(said, stories, law, seed),
    }


def site_ceiling(outlook: Mapping[str, Any]) -> dict[str, Any]:
    """What `outlook` found, as a site's ceilings are kept: of the face alone, and of no picture."""
    best, alone = (outlook["ceilings"][of] for of in ("face", "clinical"))
    population = {"ceiling": best["normal_or_not"], "clinical": alone["normal_or_not"]}
    return {"tasks": {"three classes": {"population": population}}}


def categories(lowest: Array) -> NDArray[np.int64]:
    """0 normal, 1 osteopenia, 2 osteoporosis by the lowest T-score, as face2bone/1; shape (n,)."""
    return (lowest <= -1.0).astype(np.int64) + (lowest <= -2.5)


def scores(p: Array) -> dict[str, float]:
    """Expected accuracy and AUROCs of who says these probabilities, (n, 3), and is right."""
    return {
        "accuracy": round(float(p.max(axis=1).mean()), 4),
        "normal_or_not": _area(1 - p[:, 0], p[:, 0], 1 - p[:, 0]),
        "osteoporosis_or_not": _area(p[:, 2], 1 - p[:, 2], p[:, 2]),
        "normal_or_osteoporosis": _area(p[:, 2], p[:, 0], p[:, 2] / np.maximum(p[:, 0], 1e-12)),
    }


def _of_reading(p: Array, reading: Array) -> dict[str, float]:
    """Expected AUROCs of a reading of the latent by itself."""
    return {
        "normal_or_not": _area(1 - p[:, 0], p[:, 0], -reading),
        "osteoporosis_or_not": _area(p[:, 2], 1 - p[:, 2], -reading),
        "normal_or_osteoporosis": _area(p[:, 2], p[:, 0], -reading),
    }


def _area(positive: Array, negative: Array, score: Array) -> float:
    return round(expected_auroc(positive, negative, score), 4)


def _at_hand(
    said: list[int | None], stories: list[Story], law: Law, seed: int
) -> dict[str, float | None]:
    """AUROC of the true reading of the patients that are here, by patient."""
    pairs = [(c, s) for c, s in zip(said, stories, strict=True) if c is not None]
    category = np.array([c for c, _ in pairs], int)
    read = [
        float(law.read(law.signs(s.latent, np.array(visage_of(seed, s).noise)))) for _, s in pairs
    ]
    score, ends = -np.array(read, float), category != 1
    found = {
        "normal_or_not": auroc(category >= 1, score),
        "osteoporosis_or_not": auroc(category == 2, score),
        "normal_or_osteoporosis": auroc(category[ends] == 2, score[ends]),
    }
    return {name: None if value is None else round(value, 4) for name, value in found.items()}


def _rows(people: People, kept: NDArray[np.bool_]) -> People:
    return People(
        *(people.age[kept], people.female[kept], people.height_cm[kept]),
        *(people.weight_kg[kept], people.latent[kept]),
    )
