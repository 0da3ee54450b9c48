"""A synthetic run folder from seeded normal distributions: data, laid out as training does."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data_sharding.schema import CLASSES, FlowStep, Manifest, Shard


@pytest.fixture(scope="session")
def reference():
    """What R's packages say, with their versions; reference/reference.R made it."""
    return json.loads((Path(__file__).parent / "reference" / "reference.json").read_text())


def cohort_frame(name, n=300, seed=0, shift=0.0, repeats=1, models=("teacher", "student")):
    """Predictions of a teacher and a better student; `repeats` pictures of every patient."""
    rng = np.random.default_rng(seed)
    age = np.repeat(rng.uniform(50, 85, n), repeats)
    women = np.repeat(rng.random(n) < 0.6, repeats)
    t = np.repeat(rng.normal(-0.9, 0.8, n), repeats).clip(-2.49, 2) - 0.012 * (age - 65)
    t = t.clip(-2.49, None)
    label = (t < -1).astype(int)
    bands = np.select([t >= -1, t > -1.5, t > -2], ["normal", "mild", "moderate"], "advanced")
    frames = []
    for model in models:
        noise = 1.1 if model == "teacher" else 0.8
        logit = -2.2 * (t + 1) + noise * rng.normal(0, 1.6, t.size) + shift
        frames.append(
            pd.DataFrame(
                {
                    "model": model,
                    "cohort": name,
                    "key": [f"{name}-{i:05d}" for i in range(t.size)],
                    "patient": [f"{name}-p{i // repeats:05d}" for i in range(t.size)],
                    "label": label,
                    "logit": logit,
                    "probability": 1 / (1 + np.exp(-logit)),
                    "threshold": 0.42,
                    "age": age,
                    "sex": np.where(women, "F", "M"),
                    "severity": bands,
                    "lowest_t": t,
                    "height_cm": np.where(women, 157.0, 170.0) + rng.normal(0, 6, t.size),
                    "weight_kg": np.where(women, 58.0, 70.0) + rng.normal(0, 9, t.size),
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def write_cohort(run: Path, frame: pd.DataFrame, name: str) -> Path:
    path = run / "cohorts" / name / "predictions.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.to_parquet(path)
    return path


def manifest(name, role, flow, splits) -> Manifest:
    shards = tuple(
        Shard(path=f"{s}-000000.tar", split=s, samples=n, bytes=n * 1000, sha256="0" * 64)
        for s, n in splits.items()
    )
    return Manifest(
        name=name,
        role=role,
        policy="who-lbm/1" if role != "public" else "",
        classes=CLASSES if role != "public" else (),
        settings={"window_days": 180},
        image_shape=(512, 512),
        key_id="ab12cd34",
        shards=shards,
        index_sha256="1" * 64,
        ledger_sha256="2" * 64,
        flow=flow,
    )


def build_run(run: Path, n: int = 300) -> Path:
    """Everything a run may hold, but for weights and pixels."""
    for i, (name, shift) in enumerate(
        [("asan-test", 0), ("asan-tune", 0), ("north-external", 0.9)]
    ):
        write_cohort(run, cohort_frame(name, n, i, shift, 2 if "external" in name else 1), name)
    asan = manifest(
        "asan",
        "internal",
        (
            FlowStep(step="reading", unit="file", n_in=2210, excluded={"no pixels": 4}, n_out=2206),
            FlowStep(
                step="pairing with DXA",
                unit="patient",
                n_in=2011,
                excluded={"no DXA within 180 days": 320, "under 50 years": 141},
                n_out=1550,
            ),
            FlowStep(
                step="labelling",
                unit="patient",
                n_in=1550,
                excluded={"osteoporosis (T ≤ −2.5)": 350},
                n_out=1200,
            ),
        ),
        {"train": 840, "tune": 120, "test": 240},
    )
    (run / "packs" / "asan").mkdir(parents=True)
    asan.save(run / "packs" / "asan")
    facts = {
        "run_id": "a1b2c3d4",
        "recipe": "ospenscreen:smoke",
        "config_hash": "c" * 64,
        "manifests": {
            "asan": {
                "path": "packs/asan",
                "hash": asan.hash,
                "role": "internal",
                "shards": 3,
                "samples": 1200,
            },
            "nih": {"path": "packs/nih", "hash": "f" * 64, "role": "public", "samples": 4000},
        },
        "versions": {"torch": "2.15.0", "timm": "1.0.31"},
        "world": {"workers": 2, "device": "cpu"},
        "timings": {"teacher": 81.24, "pseudo": 9.5, "student": 93.0},
        "ceiling": {"asan-test": 0.951, "north-external": 0.94},
    }
    (run / "run.json").write_text(json.dumps(facts))
    (run / "config.yaml").write_text("recipe: ospenscreen:smoke\nmodel:\n  name: tiny\n")
    for model in ("teacher", "student"):
        (run / model / "weights").mkdir(parents=True)
        (run / model / "weights" / "calibration.json").write_text('{"temperature": 1.31}')
        (run / model / "weights" / "operating_point.json").write_text(
            '{"threshold": 0.42, "rule": "youden", "split": "tune"}'
        )
        lines = [
            {"step": s, "epoch": s // 10, "train/loss": 0.69 * 0.97**s}
            | ({"tune/auroc": 0.86 - 0.3 * 0.93**s} if s % 10 == 0 else {})
            for s in range(1, 61)
        ]
        text = "\n".join(json.dumps(line) for line in lines) + '\n{"step": 61, "tra'
        (run / model / "metrics.jsonl").write_text(text)
    write_proxies(run, 900)
    return run


def write_proxies(run: Path, n: int) -> None:
    rng = np.random.default_rng(5)
    p = rng.beta(0.35, 0.5, n)
    (run / "pseudo").mkdir()
    pd.DataFrame(
        {
            "key": [f"nih-{i:05d}" for i in range(n)],
            "patient": [f"nih-p{i // 2:05d}" for i in range(n)],
            "source": "nih",
            "probability": p,
            "decision": np.select(
                [p >= 0.75, 1 - p >= 0.99], ["low bone mass", "normal"], "dropped"
            ),
            "age": rng.uniform(50, 90, n),
            "sex": rng.choice(["F", "M"], n),
            "teacher_sha256": "e" * 64,
        }
    ).to_parquet(run / "pseudo" / "pseudo_labels.parquet")


@pytest.fixture(scope="session")
def make_cohort():
    return cohort_frame


@pytest.fixture(scope="session")
def save_cohort():
    return write_cohort


@pytest.fixture(scope="session")
def build():
    return build_run


@pytest.fixture
def run(tmp_path) -> Path:
    return build_run(tmp_path / "run", 80)
