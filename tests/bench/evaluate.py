"""Five cohorts of 100,000 predictions each, from parquet to metrics.json and to a finished report.

    python -m tests.bench evaluate

Two models on 50,000 pictures a cohort, with site, vendor, body and severity, so that all subgroups
are there. No side by side: the aim is 2 minutes for the whole on two cores. Cohorts are computed in
threads, so seconds are the wall's; beside them stand those that all processors spent.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pandas as pd

from eval.evaluate import evaluate_run
from eval.report import write_report
from tests.bench.harness import Row, number

COHORTS, PICTURES, AIM = 5, 50_000, 120


def predictions(cohort: str, seed: int, n: int = PICTURES) -> pd.DataFrame:
    """Of a teacher and a better student on the same people, drawn from normal distributions."""
    rng = np.random.default_rng(seed)
    women, age = rng.random(n) < 0.6, rng.uniform(50, 85, n)
    t = (rng.normal(-0.9, 0.8, n) - 0.012 * (age - 65)).clip(-2.49, 2)
    facts = {
        "cohort": cohort,
        "key": [f"{cohort}-{i:06d}" for i in range(n)],
        "patient": [f"{cohort}-p{i:06d}" for i in range(n)],
        "label": (t < -1).astype(int),
        "threshold": 0.42,
        "age": age,
        "sex": np.where(women, "F", "M"),
        "severity": np.select(
            [t >= -1, t > -1.5, t > -2], ["normal", "mild", "moderate"], "advanced"
        ),
        "lowest_t": t,
        "height_cm": np.where(women, 157.0, 170.0) + rng.normal(0, 6, n),
        "weight_kg": np.where(women, 58.0, 70.0) + rng.normal(0, 9, n),
        "source": rng.choice(["asan", "north", "south"], n),
        "vendor": rng.choice(["GE", "Philips", "Canon", "Agfa"], n),
    }
    frames = []
    for model, noise in (("teacher", 1.8), ("student", 1.3)):
        logit = -2.2 * (t + 1) + rng.normal(0, noise, n)
        said = {"model": model, "logit": logit, "probability": 1 / (1 + np.exp(-logit))}
        frames.append(pd.DataFrame(facts | said))
    return pd.concat(frames, ignore_index=True)


class Clock:
    """Seconds since it was made, on the wall and of this process on all its processors."""

    def __init__(self) -> None:
        self.began = time.perf_counter(), time.process_time()

    def wall(self) -> float:
        return time.perf_counter() - self.began[0]

    def since(self) -> str:
        processors = time.process_time() - self.began[1]
        return f"{number(self.wall())} s ({number(processors)} s of processors)"


def run(folder: Path) -> list[Row]:
    """Once from nothing to metrics.json, then the report of them."""
    write_cohorts(folder, 1, 400)
    evaluate_run(folder)  # what is compiled on first use is not part of it
    write_cohorts(folder, COHORTS, PICTURES)
    start = Clock()
    evaluate_run(folder)
    evaluated = start.since()
    write_report(folder, explain=False)
    wall, done = start.wall(), start.since()
    what = f"{COHORTS} cohorts of {2 * PICTURES:,} predictions"
    return [
        Row(f"{what} to metrics.json", evaluated, "-", "-"),
        Row(
            f"{what} to a finished report",
            done,
            f"aim {AIM} s",
            number(AIM / wall),
        ),
    ]


def write_cohorts(folder: Path, cohorts: int, pictures: int) -> None:
    """Lay predictions out as training does."""
    for i in range(cohorts):
        path = folder / "cohorts" / f"site{i}-external" / "predictions.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        predictions(f"site{i}-external", i, pictures).to_parquet(path)
