"""Runs of faces and of radiographs of the same people, whose areas have a closed form."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
from scipy.special import expit

#: Standardised distance of those with the event from those without, by modality.
FACE, CXR = 1.0, 1.4
PREVALENCE = 0.5


def scores(label, distance, seed):
    """P(event) of a normal score: the calibrated log odds of its likelihood ratio."""
    z = np.random.default_rng(seed).normal(size=label.size) + distance * label
    return expit(distance * z - distance**2 / 2 + np.log(PREVALENCE / (1 - PREVALENCE)))


def patients(role, n, seed):
    rng = np.random.default_rng(seed)
    category = rng.choice(3, n, p=[0.5, 0.3, 0.2])
    age = 60 + 4 * (category > 0) + rng.normal(0, 8, n)
    return pd.DataFrame(
        {"patient": [f"{role}-{i:05d}" for i in range(n)], "category": category, "age": age,
         "sex": rng.choice(["F", "M"], n), "height_cm": 165.0, "weight_kg": rng.normal(65, 9, n)}
    )  # fmt: skip


def of_face(people, cohort, seed, photographs=1):
    """Rows of a model of three classes; the event's probability is split over two of them."""
    rows = people.loc[people.index.repeat(photographs)].reset_index(drop=True)
    p = np.repeat(scores((people["category"] > 0).to_numpy(int), FACE, seed), photographs)
    return rows.assign(
        model="image", cohort=cohort, key=[f"{cohort}-f{i:05d}" for i in range(len(rows))],
        label=(rows["category"] > 0).astype(int), probability=p, p_normal=1 - p,
        p_low_bone_mass=0.7 * p, p_osteoporosis=0.3 * p,
    )  # fmt: skip


def of_cxr(people, cohort, seed):
    """Rows of a model of low bone mass: those with osteoporosis have no label of its kind."""
    label = pd.array((people["category"] > 0).astype(int), "Int64")
    label[(people["category"] == 2).to_numpy()] = pd.NA
    p = scores((people["category"] > 0).to_numpy(int), CXR, seed)
    return people.assign(
        model="student", cohort=cohort, key=[f"{cohort}-x{i:05d}" for i in range(len(people))],
        label=label, probability=p, threshold=0.5,
    )  # fmt: skip


def save(folder, cohorts, target):
    for name, frame in cohorts.items():
        path = folder / "cohorts" / name / "predictions.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        frame.to_parquet(path)
    facts = {"run_id": folder.name, "target": target}
    (folder / "run.json").write_text(json.dumps(facts))
    return folder


def build(root, tune=400, test=4000, photographs=1):
    people = {"asan-tune": patients("tune", tune, 1), "asan-test": patients("test", test, 2)}
    face = {c: of_face(p, c, 10 + i, photographs) for i, (c, p) in enumerate(people.items())}
    cxr = {c: of_cxr(p, c, 20 + i) for i, (c, p) in enumerate(people.items())}
    save(root / "face", face, "three classes")
    save(root / "cxr", cxr, "low bone mass")
    return root / "face", root / "cxr"
