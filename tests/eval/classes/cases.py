"""Runs on people of the phantom world, with all three classes and a known latent.

A model sees the latent through noise. What it may know then is known too, by averaging over the
latents of many people who look the same to it, so that its probabilities are calibrated but for
that average's own error.
"""

import json
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import ndtr, softmax

from data_sharding.phantom.patients import (
    SITE_NOISE,
    Mix,
    draw_people,
    draw_t_scores,
    low_bone_mass_probability,
    site_means,
)

MIX = Mix(65.0, 9.0, 50.0, 90.0, 0.7)


@dataclass(frozen=True)
class People:
    """n people: what DXA says (category [n]) and what the latent allows to know ([n] each)."""

    latent: np.ndarray
    category: np.ndarray
    p1: np.ndarray
    p2: np.ndarray


def people(n, seed):
    rng = np.random.default_rng(seed)
    drawn = draw_people(rng, MIX, n)
    lowest = draw_t_scores(rng, drawn.latent, drawn.age).min(axis=1)
    category = np.select([lowest <= -2.45, lowest < -1.05], [2, 1], 0)
    spared = ndtr((site_means(drawn.latent, drawn.age) + 2.45) / np.asarray(SITE_NOISE))
    p2 = low_bone_mass_probability(drawn.latent, drawn.age)
    return People(drawn.latent, category, 1 - spared.prod(axis=1), p2)


def seen(who, noise, seed):
    """p1 and p2 of a reader of latent + noise: means over people of nearly the same reading."""
    world = people(60_000, 1000 + seed)
    rng = np.random.default_rng(seed)
    theirs = world.latent + noise * rng.normal(size=world.latent.size)
    ours = who.latent + noise * rng.normal(size=who.latent.size)
    edges = np.quantile(theirs, np.linspace(0, 1, 201)[1:-1])
    place, at = np.digitize(theirs, edges), np.digitize(ours, edges)
    count, rest = np.bincount(place), np.bincount(place, weights=1 - world.p1)
    first = np.bincount(place, weights=world.p1) / count
    second = np.bincount(place, weights=(1 - world.p1) * world.p2) / rest
    # a tiny step by the reading itself, so that few answers are tied
    step = 1e-6 * ours
    return np.clip(first[at] - step, 0, 1), np.clip(second[at] - step, 0, 1)


def frame(cohort, who, probability, model="student", repeats=1, **columns):
    n = who.category.size
    return pd.DataFrame(
        {
            "model": model,
            "cohort": cohort,
            "key": [f"{cohort}-{i:05d}" for i in range(n)],
            "patient": [f"{cohort}-p{i // repeats:05d}" for i in range(n)],
            "category": pd.array(who.category, "Int64"),
            "probability": probability,
            **columns,
        }
    )


def first_stage(cohort, who, noise=0.5, seed=1, **columns):
    p1, _ = seen(who, noise, seed)
    label = pd.array((who.category == 2).astype(int), "Int64")
    return frame(cohort, who, p1, label=label, **{"threshold": 0.3} | columns)


def second_stage(cohort, who, noise=0.6, seed=2, **columns):
    _, p2 = seen(who, noise, seed)
    label = pd.array(np.where(who.category == 2, -1, who.category), "Int64")
    frame_ = frame(cohort, who, p2, label=label, **{"threshold": 0.45} | columns)
    frame_["label"] = frame_["label"].mask(frame_["label"] < 0)
    return frame_


def unified(cohort, who, noise=0.7, seed=3, sharpness=1.0, **columns):
    p1, p2 = seen(who, noise, seed)
    P = np.column_stack([(1 - p1) * (1 - p2), (1 - p1) * p2, p1])
    P = softmax(sharpness * np.log(np.clip(P, 1e-9, 1)), axis=1)
    label = pd.array((who.category >= 1).astype(int), "Int64")
    three = dict(zip(("p_normal", "p_low_bone_mass", "p_osteoporosis"), P.T, strict=True))
    return frame(cohort, who, 1 - P[:, 0], label=label, **three | columns)


def write(folder, cohorts, target="", recipe="", config=""):
    for name, rows in cohorts.items():
        path = folder / "cohorts" / name / "predictions.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        rows.to_parquet(path)
    facts = {"run_id": folder.name, "recipe": recipe, "target": target}
    (folder / "run.json").write_text(json.dumps({k: v for k, v in facts.items() if v}))
    (folder / "config.yaml").write_text(config)
    return folder


def build(root, n=400, repeats=1):
    """Two stages and two unified runs on a test, an external and a tuning cohort."""
    cohorts = {
        name: people(size, seed)
        for name, size, seed in (
            ("here-test", n, 11),
            ("there-external", n, 12),
            ("here-tune", n // 2, 13),
        )
    }
    more = {"here-test": 1, "there-external": repeats, "here-tune": 1}

    def run(name, make, target, config="", **how):
        made = {
            c: make(c, who, repeats=more[c], **how | {"seed": how["seed"] + 10 * i})
            for i, (c, who) in enumerate(cohorts.items())
        }
        return write(root / name, made, target, f"{name}:smoke", config)

    return (
        run("li2026", first_stage, "osteoporosis", seed=1),
        run("ospenscreen", second_stage, "low bone mass", seed=2),
        run("softmax", unified, "three classes", "model:\n  ordinal: false\n", seed=3),
        run("ordinal", unified, "three classes", "model:\n  ordinal: true\n", seed=4, noise=1.0,
            sharpness=1.6),
    )  # fmt: skip
