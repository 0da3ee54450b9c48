"""``cohorts/<source>-<split>/predictions.parquet``: what the run's models say of each cohort.

Each file carries the hashes of what it was predicted with: other weights, another temperature or
threshold, and it is made again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.special import expit, softmax

from data_sharding.reader import ShardDataset
from data_sharding.schema import canonical_json, check_predictions
from training.checkpoint import load_weights
from training.cohorts import HELD_OUT, Cohort, cohorts
from training.config import Config, weights_sha256
from training.followup import Followed
from training.learn import Run
from training.packs import same_as_before
from training.samples import held_out, target_labels
from training.survival import Baseline, concordance
from training.target import CLASS_COLUMNS, category
from training.teachers import SURVIVAL
from training.tracking import summarise
from training.validate import auroc, margin, predict

#: What is beside a model's weights, and decides what it says as they do.
USES = ("preprocessor", "calibration", "operating_point")
#: Of these and of the picture's own facts a row of predictions is made.
FACTS = ["key", "patient", "label", "age", "sex", "severity", "lowest_t", "height_cm", "weight_kg"]
FACTS += ["source", "vendor", "fracture", "followup_days", "category"]
#: Years by whose end a survival model says how many will have had a fracture.
YEARS = (1, 2, 3, 5)
#: Where a parquet file's metadata says what it was predicted with.
MADE_WITH = b"osteoray.weights"


def predictions(run: Run) -> None:
    """Write those that are not there: of tune, test, held-out rows, and every other site.

    Raises:
        ValueError: a dataset has been packed again since the run began, or weights are damaged.
    """
    config, world = run.config, run.world
    models = config.models
    weights = world.on_main(lambda: weights_said(run.folder, models))
    for wanted, data in [(c, _of_place(run, c)) for c in cohorts(config)]:
        cohort = wanted.of(data.manifest.name)
        path = run.folder / "cohorts" / cohort / "predictions.parquet"
        if world.on_main(lambda p=path: made_with(p) == weights):
            continue
        run.breathe()
        frames = [_of(run, model, cohort, data) for model in models]
        whole = check_predictions(pd.concat(frames, ignore_index=True), cohort)
        world.on_main(lambda p=path, w=whole: _write(p, w, weights))
    if world.main:
        found = sorted((run.folder / "cohorts").glob("*/predictions.parquet"))
        by_cohort = {p.parent.name: _scores(p, config) for p in found}
        values = {"c" if config.fracture else "auroc": by_cohort}
        summarise(run.folder, "eval", config, True, values)


def _of_place(run: Run, cohort: Cohort) -> ShardDataset:
    data = same_as_before(run.folder, ShardDataset(cohort.place, cohort.split))
    if cohort.what == HELD_OUT:
        data = data.only(np.flatnonzero(held_out(run.config, data)))
    return data


def _of(run: Run, name: str, cohort: str, data: ShardDataset) -> pd.DataFrame:
    weights = run.folder / name / "weights"
    model, preprocessor = load_weights(weights)
    faces = run.embedded(data)
    z_NC = predict(model.to(run.world.device), preprocessor, data, run.world, faces=faces)
    read = {p.stem: json.loads(p.read_text()) for p in weights.glob("*.json")}
    made = _risks(margin(z_NC), read["survival"]) if run.config.fracture else _chances(z_NC, read)
    facts = data.index.assign(
        # of three classes: any against the first, as `probability`
        label=target_labels(run.config, data).clip(upper=1),
        category=category(data.manifest, data.index),
    )
    who = {"model": name, "cohort": cohort, "logit": margin(z_NC)}
    return facts[FACTS].assign(**who, **made)


def _chances(z_NC: np.ndarray, read: dict[str, Any]) -> dict[str, Any]:
    """Of the positive class, and of three classes of each."""
    calibrated = z_NC / read["calibration"]["temperature"]
    probability = expit(margin(calibrated))
    each = {}
    if z_NC.shape[1] == len(CLASS_COLUMNS):
        each = dict(zip(CLASS_COLUMNS, softmax(calibrated, axis=1).T, strict=True))
    return {"probability": probability, "threshold": read["operating_point"]["threshold"], **each}


def _risks(log_risk: np.ndarray, survival: dict[str, Any]) -> dict[str, Any]:
    """Of a fracture, within the horizon and within some years; what a label is to others, time is
    to a survival model, so there is none.
    """
    hazard = Baseline.from_json(survival)
    within = {f"risk_{y}y": hazard.risk(log_risk, 365 * y) for y in YEARS}
    return {"probability": hazard.risk(log_risk, survival["horizon_days"]), "label": pd.NA} | within


def _scores(path: Path, config: Config) -> dict[str, float | None]:
    """AUROC by model, or a survival model's C; `python -m eval` gives them intervals."""
    frame = pd.read_parquet(path)
    if config.fracture:
        known = Followed.of_index(frame, path.parent.name)
        log_risk = frame["logit"].to_numpy()[known.rows]
        return {config.models[0]: concordance(log_risk, known.days, known.event)}
    return {
        str(model): auroc(rows["label"].to_numpy(np.int64), rows["logit"].to_numpy())
        for model, rows in frame.loc[frame["label"].notna()].groupby("model")
    }


def weights_said(folder: Path, models: Sequence[str]) -> bytes:
    """SHA-256 of all that decides what each model says, as JSON: its weights' among it."""
    said = {}
    for name in models:
        weights = folder / name / "weights"
        try:
            files = [weights / f"{use}.json" for use in USES]
            files += [weights / SURVIVAL] * (weights / SURVIVAL).exists()
            uses = [json.loads(file.read_text()) for file in files]
            text = canonical_json([weights_sha256(weights), *uses])
        except (OSError, ValueError) as e:
            raise ValueError(f"{weights}: not usable weights: {e}") from e
        said[name] = hashlib.sha256(text.encode()).hexdigest()
    return json.dumps(said).encode()


def made_with(path: Path) -> bytes | None:
    """`weights_said` of the predictions that are there; None where there are none to be read."""
    try:
        return (pq.read_schema(path).metadata or {}).get(MADE_WITH)
    except (OSError, pa.ArrowException):
        return None


def _write(path: Path, frame: pd.DataFrame, weights: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    table = pa.Table.from_pandas(frame)
    metadata = (table.schema.metadata or {}) | {MADE_WITH: weights}
    pq.write_table(table.replace_schema_metadata(metadata), temporary)
    temporary.replace(path)
